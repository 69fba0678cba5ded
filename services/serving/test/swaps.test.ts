import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness } from './harness.js';
import { ghzLoad, hasGhz, swapDrill, type DrillResult } from './swap-drill.js';

/** bench/serving/swaps.ts asks for more, and for the figures. */
const SWAPS = Number(process.env['HEADRACE_DRILL_SWAPS'] ?? 30);
const RESULTS = process.env['HEADRACE_DRILL_RESULTS'] ?? '';

describe(`${SWAPS} hot swaps of two processes on one port, under load of our client and of ghz`, () => {
  let h: Harness;
  let state: string;
  const results: Record<string, DrillResult> = {};
  beforeAll(async () => {
    h = await Harness.start();
    state = await mkdtemp(join(tmpdir(), 'headrace-drill-'));
  });
  afterAll(async () => {
    if (RESULTS) await writeFile(join(RESULTS, 'ours.json'), JSON.stringify(results));
    await h.close();
    await rm(state, { recursive: true, force: true });
  });

  it('lose no request, answer with no wrong version and mix no answer', async () => {
    const foreign = (await hasGhz()) ? { ghz: ghzLoad } : {};
    const result = (results['swaps'] = await swapDrill(h, state, { swaps: SWAPS, callers: 8, killEvery: 0, foreign }));
    expect(result.failures).toEqual([]);
    expect(result).toMatchObject({ failed: 0, retried: 0, mixed: 0, wrongVersion: 0, kills: 0 });
    for (const { failed, codes } of Object.values(result.foreign)) expect([failed, codes]).toEqual([0, { OK: expect.any(Number) }]);
    expect(result.answered).toBeGreaterThan(SWAPS);
    expect(result.versionsSeen).toBeGreaterThan(SWAPS / 3);
  }, 600_000);

  it('lose no request of a client that retries when one of the two is killed again and again', async () => {
    const killEvery = Math.max(10, Math.round(SWAPS / 10));
    const result = (results['kills'] = await swapDrill(h, join(state, 'kills'), { swaps: SWAPS, callers: 8, killEvery, foreign: {} }));
    expect(result.failures).toEqual([]);
    expect(result).toMatchObject({ failed: 0, mixed: 0, wrongVersion: 0 });
    expect(result.kills).toBeGreaterThanOrEqual(3);
  }, 600_000);
});
