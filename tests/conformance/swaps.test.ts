import { Harness } from '@headrace/serving/test/harness';
import { swapDrill, type ForeignLoad } from '@headrace/serving/test/swap-drill';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { foreignPython, pythonOf, runUntil, skipReason } from './python-clients.js';

/** bench/serving/swaps.ts asks for more, and for the figures. */
const SWAPS = Number(process.env['HEADRACE_DRILL_SWAPS'] ?? 20);
const RESULTS = process.env['HEADRACE_DRILL_RESULTS'] ?? '';

const foreign = await foreignPython();

/** Every answer is checked in the client against the formula of the version that it names. */
const tritonLoad: ForeignLoad = async ({ grpc, http }, isStopped) => {
  const output = await runUntil(pythonOf(foreign), 'triton_load.py', { OIP_GRPC: grpc, OIP_HTTP: http }, isStopped);
  const codes = JSON.parse(output.trim().split('\n').at(-1)!) as Record<string, number>;
  const total = (isOk: boolean): number =>
    Object.entries(codes).reduce((sum, [code, calls]) => sum + (code.startsWith('OK by ') === isOk ? calls : 0), 0);
  return { answered: total(true), failed: total(false), codes };
};

describe.skipIf(skipReason(foreign) !== '')(
  `${SWAPS} hot swaps of two processes on one port, under load of tritonclient${skipReason(foreign)}`,
  () => {
    let h: Harness;
    let state: string;
    beforeAll(async () => {
      h = await Harness.start();
      state = await mkdtemp(join(tmpdir(), 'headrace-drill-'));
    });
    afterAll(async () => {
      await h.close();
      await rm(state, { recursive: true, force: true });
    });

    it('lose no request of its gRPC, stream and HTTP, and mix no answer', async () => {
      const result = await swapDrill(h, state, { swaps: SWAPS, callers: 2, killEvery: 0, foreign: { tritonclient: tritonLoad } });
      if (RESULTS) await writeFile(join(RESULTS, 'tritonclient.json'), JSON.stringify({ tritonclient: result }));
      expect(result).toMatchObject({ failures: [], failed: 0, mixed: 0, wrongVersion: 0 });
      const some: unknown = expect.any(Number);
      expect(result.foreign['tritonclient']!.codes).toEqual({ 'OK by gRPC': some, 'OK by stream': some, 'OK by HTTP': some });
      expect(result.foreign['tritonclient']!.answered).toBeGreaterThan(SWAPS);
    }, 600_000);
  },
);
