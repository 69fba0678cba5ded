import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../../test/views.js';
import { CategoryCounts } from './category-counts.js';
import { histogram, WindowStatistics, WindowTally } from './quality-statistics.js';
import { statisticsOf } from './quality-windows.js';
import type { MergedRow } from './row-order.js';
import type { FeatureValue } from '@headrace/codec/feature-blob';

const view = viewOf({
  features: [
    { name: 'amount', type: 'float64' },
    { name: 'city', type: 'string' },
    { name: 'member', type: 'bool' },
    { name: 'code', type: 'int64', categorical: true },
    { name: 'secret', type: 'string', pii: true },
    { name: 'at', type: 'timestamp' },
  ],
});
const { features } = view.spec;
const HOUR_MS = 3_600_000;

/** Values of magnitudes from 1e-6 to 1e9, of both signs, with ties, zeros and nulls. */
function rowsOf(seed: number, count: number, cities = 40): FeatureValue[][] {
  const random = seededRandom(seed);
  const orNull = (value: FeatureValue): FeatureValue => (random() < 0.1 ? null : value);
  return Array.from({ length: count }, () => [
    orNull(random() < 0.05 ? 0 : (random() - 0.3) * 10 ** Math.floor(random() * 15 - 6)),
    orNull(`city ${Math.floor(random() ** 3 * cities)}`),
    orNull(random() < 0.3),
    orNull(Math.floor(random() * 7)),
    orNull(`name ${random()}`),
    orNull(Math.floor(random() * 1e12)),
  ]);
}

function tallyOf(rows: readonly FeatureValue[][]): WindowStatistics {
  const tally = new WindowTally(features);
  for (const row of rows) tally.add(row);
  return tally.finish();
}

const numbersOf = (rows: readonly FeatureValue[][]): number[] => rows.flatMap(([amount]) => (amount === null ? [] : [amount as number]));

/** By whole numbers of 2^-1074, the slow and obvious way. */
function exactMeanAndDeviation(numbers: readonly number[]): [number, number] {
  const fraction = (x: number): [bigint, bigint] => {
    let denominator = 1n;
    while (!Number.isInteger(x)) [x, denominator] = [x * 2, denominator * 2n];
    return [BigInt(x), denominator];
  };
  const parts = numbers.map(fraction);
  const common = parts.reduce((max, [, d]) => (d > max ? d : max), 1n);
  const whole = parts.map(([n, d]) => n * (common / d));
  const n = BigInt(numbers.length);
  const sum = whole.reduce((a, b) => a + b, 0n);
  const squares = whole.reduce((a, b) => a + b * b, 0n);
  const ratio = (a: bigint, b: bigint): number => Number((a << 1100n) / b / (1n << 1000n)) / 2 ** 100;
  return [ratio(sum, common * n), Math.sqrt(ratio(n * squares - sum * sum, common * common * n * n))];
}

describe('statistics of a window against an exact oracle', () => {
  it.each([1, 2, 3, 4])('has exact counts, mean and deviation to the last bits, and quantiles within 1 %% (seed %i)', (seed) => {
    const rows = rowsOf(seed, 3_000);
    const statistics = tallyOf(rows);
    const { values, moments, sketch } = statistics.feature('amount');
    const numbers = numbersOf(rows).sort((a, b) => a - b);
    expect([statistics.rows, values, moments.count]).toEqual([3_000, numbers.length, numbers.length]);
    const [mean, deviation] = exactMeanAndDeviation(numbers);
    expect(moments.mean()! / mean).toBeCloseTo(1, 14);
    expect(moments.deviation()! / deviation).toBeCloseTo(1, 12);
    for (let q = 0; q <= 1; q += 0.01) {
      const exact = numbers[Math.floor(q * (numbers.length - 1))]!;
      expect(Math.abs(sketch.quantile(q) - exact)).toBeLessThanOrEqual(Math.abs(exact) * 0.01 + 1e-12);
    }
  });

  it.each([5, 6])('counts a histogram exactly between its edges (seed %i)', (seed) => {
    const rows = rowsOf(seed, 2_000);
    const numbers = numbersOf(rows);
    const bins = histogram(tallyOf(rows).feature('amount').sketch);
    expect(bins.length).toBeLessThanOrEqual(21);
    expect(bins.reduce((sum, { count }) => sum + count, 0)).toBe(numbers.length);
    for (const { lower, upper, count } of bins) {
      const inside = (x: number): boolean =>
        lower === upper ? x === lower : (x > lower || (x === lower && x < 0)) && (x < upper || (x === upper && x >= 0));
      expect(numbers.filter(inside)).toHaveLength(count);
    }
  });

  it.each([7, 8, 9])('is the same bytes in any order and grouping, also through JSON (seed %i)', (seed) => {
    const random = seededRandom(seed);
    const rows = rowsOf(seed, 2_000, 1_000);
    const whole = JSON.stringify(tallyOf(rows));
    const shuffled = [...rows].sort(() => random() - 0.5);
    const merged = new WindowStatistics();
    for (let from = 0; from < shuffled.length;) {
      const size = 1 + Math.floor(random() * 300);
      merged.merge(JSON.parse(JSON.stringify(tallyOf(shuffled.slice(from, from + size)))));
      from += size;
    }
    const inOrder = (json: string): unknown => JSON.parse(json);
    expect(inOrder(JSON.stringify(merged))).toEqual(inOrder(whole));
  });

  it('keeps nothing of what is personal but how many there are', () => {
    const statistics = tallyOf(rowsOf(1, 500));
    expect(Object.keys(statistics.feature('secret').toJSON())).toEqual(['values']);
    expect(JSON.stringify(statistics)).not.toContain('name ');
  });
});

describe('categories', () => {
  it('are all counted up to 256, whatever the order', () => {
    const counts = new CategoryCounts();
    for (let i = 0; i < 5_000; i++) counts.add(`c${(i * 7) % 256}`, 1);
    expect(counts.isExact).toBe(true);
    expect(counts.distinct()).toBe(256);
    expect(
      counts
        .list()
        .every(
          ({ label, count }) => count === Array.from({ length: 5_000 }, (_, i) => `c${(i * 7) % 256}`).filter((l) => l === label).length,
        ),
    ).toBe(true);
  });

  it.each([300, 3_000, 30_000])(
    'with %i of them are a sample with exact counts, and how many there are is known to 4 standard errors',
    (distinct) => {
      const random = seededRandom(distinct);
      const truth = new Map<string, number>();
      const [one, other] = [new CategoryCounts(), new CategoryCounts()];
      for (let i = 0; i < 3 * distinct; i++) {
        const label = `v${i < distinct ? i : Math.floor(random() * distinct)}`;
        truth.set(label, (truth.get(label) ?? 0) + 1);
        (random() < 0.5 ? one : other).add(label, 1);
      }
      one.merge(other.toJSON());
      expect(one.toJSON().counts).toHaveLength(256);
      for (const { label, count } of one.list()) expect(count).toBe(truth.get(label));
      expect(Math.abs(one.distinct() / distinct - 1)).toBeLessThan(4 * 0.063);
    },
  );

  it('never calls new what the other side has had, however few of it are kept', () => {
    const [current, reference] = [new CategoryCounts(), new CategoryCounts()];
    for (let i = 0; i < 10_000; i++) reference.add(`v${i}`, 1);
    for (let i = 5_000; i < 12_000; i++) current.add(`v${i}`, 1);
    const fresh = current.against(reference).filter((one) => one.reference === 0);
    expect(fresh.length).toBeGreaterThan(10);
    expect(fresh.every(({ label }) => Number(label.slice(1)) >= 10_000)).toBe(true);
  });
});

describe('windows', () => {
  const quality = { window: '1h', keep: 3, reference: { windows: 1 } };
  const rowAt = (eventTimeMs: number): MergedRow => ({
    entityKey: 'a',
    keys: ['a'],
    eventTimeMs,
    values: [1],
    contentHash: 1,
    firstIngestUs: 1e15,
    lastIngestUs: 1e15,
  });

  it('are cut at whole multiples of their length, also before 1970', () => {
    const starts = [...statisticsOf(viewOf({ quality }), [rowAt(-1), rowAt(0), rowAt(HOUR_MS - 1), rowAt(HOUR_MS)]).keys()];
    expect(starts).toEqual([-HOUR_MS, 0, HOUR_MS]);
  });

  it('are bounded in number: the newest, and those of the reference', () => {
    const rows = Array.from({ length: 100 }, (_, hour) => rowAt(hour * HOUR_MS));
    const span = { from: '1970-01-01T02:00:00Z', to: '1970-01-01T04:00:00Z' };
    const pinned = viewOf({ quality: { ...quality, reference: span } });
    const hours = [...statisticsOf(pinned, rows).keys()].map((ms) => ms / HOUR_MS);
    expect(hours).toEqual([2, 3, 97, 98, 99]);
  });
});
