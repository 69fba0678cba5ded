import type { Check, FlightsReport } from '@headrace/example-flights/report';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { ROOT, RunningHeadrace } from './running-headrace.js';

const SLICE = join(ROOT, 'examples/flights/fixtures/eight-airports.parquet');
const headrace = new RunningHeadrace();
afterAll(() => headrace.headrace(['clean']));

it('`headrace flights` starts a platform of its own, passes every check on a slice of the flights, and leaves no process', async () => {
  const { code, stdout, stderr } = await headrace.headrace([
    ...['flights', '--file', SLICE, '--label-every', '1'],
    ...['--present', '2001-06-01T17:30Z', '--days', '5'],
  ]);
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  expect(stdout).toContain('THE FLIGHTS EXAMPLE PASSED');
  const report = JSON.parse(readFileSync(join(headrace.stateDir, 'flights-report.json'), 'utf8')) as FlightsReport & { checks: Check[] };
  expect(report.checks.filter(({ passed }) => !passed)).toEqual([]);
  expect(report).toMatchObject({ lost: 0, version: 1, present: '2001-06-01T17:30:00.000Z' });
  expect(report.flights).toBeGreaterThan(10_000);
  expect(report.comparison).toMatchObject({ mismatches: 0 });
  expect(report.comparison.values).toBeGreaterThan(200);
  expect(report.holdout.rmse).toBeLessThan(report.holdout.naive_rmse!);
  expect(headrace.leftOvers()).toEqual([]);
  expect(await headrace.headrace(['clean'])).toMatchObject({ code: 0 });
  expect(existsSync(headrace.stateDir)).toBe(false);
}, 400_000);
