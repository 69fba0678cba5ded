import fc from 'fast-check';
import { expect, it } from 'vitest';
import { expectRelative, golden } from '../golden/read-golden.js';
import { QuantileSketch } from './quantile-sketch.js';

function sketchOf(values: readonly number[], relativeError = 0.01, bucketsMax?: number): QuantileSketch {
  const sketch = new QuantileSketch(relativeError, bucketsMax);
  for (const value of values) sketch.add(value);
  return sketch;
}

it("gives the quantiles of Datadog's ddsketch package", () => {
  const { values, quantiles } = golden<{ values: number[]; quantiles: [number, number][] }>('quantileSketch');
  const sketch = sketchOf(values);
  for (const [q, expected] of quantiles) expectRelative(sketch.quantile(q), expected, 1e-9, `quantile ${q}`);
});

const values = fc.array(
  fc.oneof(
    fc.double({ min: -1e6, max: 1e6, noNaN: true }),
    fc.integer({ min: -50, max: 50 }),
    fc.double({ min: 1e-9, max: 1e-3, noNaN: true }),
  ),
  { minLength: 1, maxLength: 80 },
);

it('keeps every quantile within its relative error', () => {
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0.001, 0.01, 0.2), (sample, q, error) => {
      // Wide enough for the extremes of this generator (1e-300 .. 1e6) at every error.
      const sketch = sketchOf(sample, error, 400_000);
      const exact = Float64Array.from(sample).sort()[Math.floor(q * (sample.length - 1))]!;
      expect(sketch.collapsed).toBe(false);
      expect(Math.abs(sketch.quantile(q) - exact)).toBeLessThanOrEqual(error * Math.abs(exact) * (1 + 1e-9) + 1e-300);
    }),
    { seed: 61, numRuns: 300 },
  );
});

it('merges in any order to the sketch of one pass, collapsed or not', () => {
  fc.assert(
    fc.property(values, values, values, fc.constantFrom(3, 40, 2048), (a, b, c, bucketsMax) => {
      const of = (sample: number[]): QuantileSketch => sketchOf(sample, 0.02, bucketsMax);
      const whole = JSON.stringify(of([...a, ...b, ...c]));
      expect(JSON.stringify(of(a).merge(of(b)).merge(of(c)))).toBe(whole);
      expect(JSON.stringify(of(c).merge(of(b).merge(of(a))))).toBe(whole);
      expect(JSON.stringify(QuantileSketch.fromJSON(JSON.parse(whole)))).toBe(whole);
    }),
    { seed: 62, numRuns: 200 },
  );
});

it('stays within its buckets whatever comes, keeps the count, and says that small values were joined', () => {
  const sketch = sketchOf(
    Array.from({ length: 5000 }, (_, i) => 1.5 ** (i % 500) * (i % 2 ? 1 : -1)),
    0.01,
    100,
  );
  const { p, n } = sketch.toJSON();
  expect(p.length / 2).toBeLessThanOrEqual(100);
  expect(n.length / 2).toBeLessThanOrEqual(100);
  expect([sketch.count, sketch.collapsed]).toEqual([5000, true]);
  expectRelative(sketch.quantile(1), 1.5 ** 499, 0.01);
  expectRelative(sketch.quantile(0), -(1.5 ** 498), 0.01);
});

it('knows no quantile of nothing', () => {
  expect(new QuantileSketch().quantile(0.5)).toBeNaN();
});
