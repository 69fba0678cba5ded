import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { slowWindows } from '../test/slow-windows.js';
import type { EventRow, WindowValue } from './measure.js';
import { decodeWindows, encodeWindows, readWindows } from './window-blob.js';
import { WindowFold } from './window-fold.js';
import { compileWindowPlan, hopOf, windowStart, type WindowFeature, type WindowFunction, type WindowPlan } from './window-plan.js';
import { WindowState } from './window-state.js';

const S = 1000;
const [M, H, D] = [60 * S, 3600 * S, 86_400 * S];

const FUNCTIONS: WindowFunction[] = ['count', 'sum', 'mean', 'std', 'min', 'max', 'last', 'last_k', 'approx_distinct', 'percentile'];

/** Every function over every window, of a number, and some of a text and of the rows themselves. */
function planOf(windowsMs: readonly number[]): WindowPlan {
  const features = windowsMs.flatMap((windowMs): WindowFeature[] => [
    ...FUNCTIONS.map((of): WindowFeature => {
      const feature = { name: `x_${of}_${windowMs}`, function: of, column: 'x', windowMs };
      return of === 'last_k' ? { ...feature, k: 3 } : of === 'percentile' ? { ...feature, percentile: 75 } : feature;
    }),
    { name: `rows_${windowMs}`, function: 'count', column: undefined, windowMs },
    { name: `s_last_${windowMs}`, function: 'last', column: 's', windowMs },
    { name: `s_distinct_${windowMs}`, function: 'approx_distinct', column: 's', windowMs },
  ]);
  return compileWindowPlan(features);
}

const byTime = (a: EventRow, b: EventRow): number => a.timeMs - b.timeMs || a.tie - b.tie;

/** Few instants and values, nulls, ties, and instants on the edges of tiles and windows. */
function randomRows(random: () => number, count: number, fromMs: number, toMs: number, gridMs: number): EventRow[] {
  const rows = new Map<string, EventRow>();
  while (rows.size < count) {
    const timeMs = Math.round((fromMs + random() * (toMs - fromMs)) / gridMs) * gridMs - (random() < 0.2 ? 1 : 0);
    const x = random() < 0.15 ? null : random() < 0.3 ? Math.floor(random() * 4) : (random() - 0.5) * 10 ** Math.floor(random() * 18 - 6);
    const s = random() < 0.2 ? null : `t${Math.floor(random() * 5)}`;
    const tie = Math.floor(random() * 1000);
    rows.set(`${timeMs}/${tie}`, { timeMs, tie, values: [x, s] });
  }
  return [...rows.values()];
}

/** Exact functions to the bit; the deviation to 1e-12; the sketches to their documented errors. */
function expectValues(plan: WindowPlan, actual: readonly WindowValue[], expected: readonly WindowValue[]): void {
  for (const [i, feature] of plan.features.entries()) {
    const [a, e] = [actual[i]!, expected[i]!];
    const where = `${feature.name}: ${JSON.stringify(a)} instead of ${JSON.stringify(e)}`;
    if (a === null || e === null) expect(a, where).toBe(e);
    else if (feature.function === 'std') expect(Math.abs((a as number) - (e as number)), where).toBeLessThanOrEqual(1e-12 * (e as number));
    else if (feature.function === 'percentile')
      expect(Math.abs((a as number) - (e as number)), where).toBeLessThanOrEqual(0.0101 * Math.abs(e as number));
    else if (feature.function === 'approx_distinct')
      expect(Math.abs((a as number) - (e as number)), where).toBeLessThanOrEqual(2 + 0.065 * (e as number));
    else expect(a, where).toEqual(e);
  }
}

const WINDOWS: [string, number[], number][] = [
  ['10 s and 1 min', [10 * S, M], 100],
  ['1 h, 24 h and 7 d', [H, D, 7 * D], 30 * S],
  ['one of 1 h', [H], M],
  ['neighbours with one hop', [60 * M, 61 * M, 3 * H], 20 * S],
  ['seconds to a year', [10 * S, H, 365 * D], 6 * H],
  ['a window of 3 ms', [3, 7], 1],
];

describe('the tiles of an entity', () => {
  it.each(WINDOWS)('equal the slow oracle at every moment, read from the state and from its bytes: %s', (_name, windows, gridMs) => {
    const plan = planOf(windows);
    const fold = new WindowFold(plan);
    const random = seededRandom(gridMs);
    for (let round = 0; round < 12; round++) {
      const horizonMs = 1_700_000_000_000 + Math.floor(random() * D);
      const longest = windows.at(-1)!;
      const rows = randomRows(random, 150, horizonMs - 1.2 * longest, horizonMs + 0.4 * longest, gridMs).sort(byTime);
      const state = new WindowState(plan, horizonMs);
      state.fill(rows);
      const blob = encodeWindows(state);
      const moments = [horizonMs, ...Array.from({ length: 15 }, () => horizonMs + Math.floor(random() * 1.7 * longest))];
      // Moments at which a row enters, or a tile leaves, exactly.
      moments.push(
        ...rows
          .map((row) => row.timeMs)
          .filter((t) => t >= horizonMs)
          .slice(0, 5),
      );
      moments.push(...windows.map((w) => Math.ceil((rows[60]!.timeMs + w) / hopOf(w)) * hopOf(w)).filter((t) => t >= horizonMs));
      for (const atMs of moments) {
        const expected = slowWindows(plan, rows, atMs);
        state.read(fold, atMs);
        const fromState = [...fold.values];
        expectValues(plan, fromState, expected);
        expect(readWindows(blob, fold, atMs)).toBe('none');
        expect(fold.values).toEqual(fromState);
      }
    }
  });

  it.each(WINDOWS)(
    'end in the same bytes whatever the order, duplication, lateness and batching of the rows: %s',
    (_name, windows, gridMs) => {
      const plan = planOf(windows);
      const random = seededRandom(7 * gridMs);
      const longest = windows.at(-1)!;
      for (let round = 0; round < 8; round++) {
        const endMs = 1_700_000_000_000 + Math.floor(random() * D);
        const rows = randomRows(random, 90, endMs - 1.3 * longest, endMs + 0.1 * longest, gridMs);
        const direct = new WindowState(plan, endMs);
        direct.fill([...rows].sort(byTime));
        const expected = encodeWindows(direct);
        // As the feature store does it: rows are stored, then the stretches that they touch are made anew from what is stored.
        const deliveries = [...rows, ...rows.filter(() => random() < 0.3)].sort(() => random() - 0.5);
        const stored = new Set<EventRow>();
        let state = new WindowState(plan, endMs - Math.floor(longest * 0.5));
        while (deliveries.length > 0) {
          const batch = deliveries.splice(0, 1 + Math.floor(random() * 12));
          for (const row of batch) stored.add(row);
          state.advance(state.horizonMs + Math.floor(random() * (endMs - state.horizonMs) * 0.3));
          for (const range of state.rangesOf(batch.map((row) => row.timeMs)))
            state.replace(range, [...stored].filter((r) => r.timeMs >= range.fromMs && r.timeMs < range.toMs).sort(byTime));
          if (random() < 0.5) state = decodeWindows(encodeWindows(state), plan)!;
        }
        state.advance(endMs);
        expect(encodeWindows(state)).toEqual(expected);
      }
    },
  );

  it('walking through history gives the values of the online blob at each moment', () => {
    const plan = planOf([M, H, D]);
    const fold = new WindowFold(plan);
    const random = seededRandom(5);
    const rows = randomRows(random, 400, 1_700_000_000_000, 1_700_000_000_000 + 3 * D, 10 * S).sort(byTime);
    const walker = new WindowState(plan, rows[0]!.timeMs);
    let next = 0;
    for (let i = 0; i < 200; i++) {
      const atMs = rows[0]!.timeMs + Math.floor((i * 3 * D) / 200);
      while (next < rows.length && rows[next]!.timeMs <= atMs) {
        walker.append(rows[next]!);
        if (random() < 0.3) walker.advance(rows[next]!.timeMs);
        next++;
      }
      walker.advance(atMs);
      walker.read(fold, atMs);
      const online = new WindowState(plan, atMs - 5_000);
      online.fill(rows);
      const values = [...fold.values];
      expect(readWindows(encodeWindows(online), fold, atMs)).toBe('none');
      expect(fold.values).toEqual(values);
    }
  });

  it('a year of a busy entity stays small', () => {
    const plan = compileWindowPlan([H, D, 365 * D].map((windowMs) => ({ name: `m${windowMs}`, function: 'mean', column: 'x', windowMs })));
    const state = new WindowState(plan, 1_700_000_000_000);
    const random = seededRandom(3);
    state.fill(
      Array.from({ length: 50_000 }, (_, i) => ({ timeMs: 1_700_000_000_000 - (50_000 - i) * 600 * S, tie: i, values: [random()] })),
    );
    expect(state.tiles.length).toBeLessThan(200);
    expect(encodeWindows(state).length).toBeLessThan(12_000);
  });
});

describe('what a window is', () => {
  it('has a hop of at most a 24th of its length', () => {
    expect([S, 10 * S, M, 10 * M, H, 3 * H, D, 7 * D, 30 * D, 365 * D].map(hopOf)).toEqual([
      10,
      100,
      S,
      10 * S,
      M,
      5 * M,
      H,
      6 * H,
      D,
      7 * D,
    ]);
  });

  it('the last hour at 14:27:30 begins at 13:27:00 and ends at 14:27:30, both included', () => {
    const window = { lengthMs: H, hopMs: hopOf(H) };
    expect(new Date(windowStart(window, Date.UTC(2026, 0, 1, 14, 27, 30))).toISOString()).toBe('2026-01-01T13:27:00.000Z');
    const plan = compileWindowPlan([{ name: 'n', function: 'count', column: undefined, windowMs: H }]);
    const at = Date.UTC(2026, 0, 1, 14, 27, 30);
    const state = new WindowState(plan, at - 2 * H);
    for (const [i, timeMs] of [at - H - 30_001, at - H - 30_000, at, at + 1].entries()) state.append({ timeMs, tie: i, values: [] });
    const fold = new WindowFold(plan);
    state.read(fold, at);
    expect(fold.values).toEqual([2]);
  });

  it('knows nothing of an entity without a row in the longest window, and counts 0 in the shorter ones', () => {
    const plan = compileWindowPlan([
      { name: 'short', function: 'count', column: undefined, windowMs: M },
      { name: 'long', function: 'mean', column: 'x', windowMs: H },
    ]);
    const fold = new WindowFold(plan);
    const state = new WindowState(plan, 0);
    state.append({ timeMs: 1000, tie: 0, values: [4] });
    state.read(fold, 10 * M);
    expect(fold.values).toEqual([0, 4]);
    expect(fold.newestMs).toBe(1000);
    state.read(fold, 2 * H);
    expect(fold.values).toEqual([null, null]);
    expect(fold.rows).toBe(0);
  });

  it('says that sums of numbers near the end of float64 are unknown instead of guessing', () => {
    const plan = compileWindowPlan((['sum', 'std', 'max'] as const).map((of) => ({ name: of, function: of, column: 'x', windowMs: H })));
    const fold = new WindowFold(plan);
    const state = new WindowState(plan, 0);
    state.append({ timeMs: 1, tie: 0, values: [2 ** 460] });
    state.read(fold, 5);
    expect(fold.values).toEqual([2 ** 460, null, 2 ** 460]);
    state.append({ timeMs: 2, tie: 0, values: [1e300] });
    state.read(fold, 5);
    expect(fold.values).toEqual([null, null, 1e300]);
  });
});

describe('a blob that cannot be read', () => {
  const plan = planOf([M, H]);
  const state = new WindowState(plan, 1_700_000_000_000);
  state.fill(randomRows(seededRandom(9), 60, 1_700_000_000_000 - H, 1_700_000_000_000 + 1000, S).sort(byTime));
  const blob = encodeWindows(state);

  it('is named by its fault', () => {
    const fold = new WindowFold(plan);
    expect(readWindows(Buffer.from([1, 2, 3]), fold, 0)).toBe('corrupt');
    expect(readWindows(Buffer.concat([Buffer.from([1]), blob.subarray(1)]), fold, 0)).toBe('format');
    expect(readWindows(blob, new WindowFold(planOf([M])), 0)).toBe('fingerprint');
    expect(decodeWindows(blob, planOf([M]))).toBeUndefined();
  });

  it('cut anywhere, it is corrupt or reads as it should, and never throws', () => {
    const fold = new WindowFold(plan);
    for (let length = 0; length < blob.length; length++) {
      expect(decodeWindows(blob.subarray(0, length), plan)).toBeUndefined();
      expect(['corrupt', 'none']).toContain(readWindows(blob.subarray(0, length), fold, 1_700_000_000_000));
    }
  });

  it('of random bytes behind a good header, nothing throws', () => {
    const fold = new WindowFold(plan);
    const random = seededRandom(4);
    for (let round = 0; round < 3000; round++) {
      const bad = Buffer.from(blob);
      for (let flips = 1 + Math.floor(random() * 4); flips > 0; flips--)
        bad[21 + Math.floor(random() * (bad.length - 21))] = Math.floor(random() * 256);
      readWindows(bad, fold, 1_700_000_000_000 + Math.floor(random() * H));
      decodeWindows(bad, plan);
    }
  });
});
