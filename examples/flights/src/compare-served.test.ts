import { describe, expect, it } from 'vitest';
import { compareRows, keyOf } from './compare-served.js';
import type { Flight } from './flights.js';
import type { Predicted } from './predict-flights.js';
import { REDACTED, type ServedRow } from './served-log.js';

const features = ['on_route:mean_1h', 'schedule:is_holiday', 'on_route:last_7d'];
const flight = (id: string): Flight => ({
  ...{ id, origin: 'JFK', destination: 'SFO', distance: 2586, delay: 3, scheduledMs: 0, departsMs: 0, landsMs: 0 },
});
const predicted: Predicted[] = ['F1', 'F2'].map((id) => ({
  ...{ flight: flight(id), predictionId: `p-${id}`, delay: 4, label: 0, askedMs: 10, answeredMs: 12 },
}));
/** A row of the training set: 0.1 is no float32. */
const row = (mean: number | null = 0.1): Record<string, unknown> => ({
  ...{ on_route__mean_1h: mean, schedule__is_holiday: true, on_route__last_7d: null },
});
const served = (mean: number | null = Math.fround(0.1)): ServedRow =>
  new Map([
    ['mean_1h', mean],
    ['is_holiday', 1],
    ['last_7d', null],
  ]);
const rows = (change: [string, Record<string, unknown>][] = []): Map<string, Record<string, unknown>> =>
  new Map([...['F1', 'F2'].flatMap((id) => [10, 12].map((at): [string, Record<string, unknown>] => [keyOf(id, at), row()])), ...change]);
const both = new Map([
  ['p-F1', served()],
  ['p-F2', served()],
]);

describe('served features against a training set', () => {
  it('are equal as float32, with booleans as 0 and 1, and gaps on both sides', () => {
    expect(compareRows(predicted, features, both, rows())).toEqual({
      values: 6,
      mismatches: 0,
      moved: 0,
      missing: 2,
      redacted: 0,
      examples: [],
    });
  });

  it('that differ are counted and named, also by one bit and by a gap', () => {
    const next = Math.fround(0.1) + 2 ** -27;
    const broken = new Map([
      ['p-F1', served(next)],
      ['p-F2', served(null)],
    ]);
    const found = compareRows(predicted, features, broken, rows());
    expect(found).toMatchObject({ values: 6, mismatches: 2 });
    expect(found.examples[1]).toBe(`on_route:mean_1h of F2: served null, recomputed ${Math.fround(0.1)}`);
    expect(compareRows(predicted, features, new Map([['p-F1', served()]]), rows()).mismatches).toBe(3);
  });

  it('that the log keeps to itself are counted apart', () => {
    const hidden = new Map<string, ServedRow>([
      ['p-F1', new Map([...served(), ['mean_1h', REDACTED]])],
      ['p-F2', served()],
    ]);
    expect(compareRows(predicted, features, hidden, rows())).toMatchObject({ values: 5, mismatches: 0, redacted: 1 });
  });

  it('that changed between request and answer prove nothing', () => {
    expect(compareRows(predicted, features, both, rows([[keyOf('F1', 12), row(0.2)]]))).toMatchObject({
      values: 5,
      moved: 1,
      mismatches: 0,
    });
  });

  it('are not taken for equal when the training set lacks the moment', () => {
    const short = rows();
    short.delete(keyOf('F2', 12));
    expect(() => compareRows(predicted, features, both, short)).toThrow(/no row of flight F2/);
  });
});
