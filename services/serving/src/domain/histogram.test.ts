import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { Histogram } from './histogram.js';

describe('histogram', () => {
  it('counts each value once, under the first bound that is not below it', () => {
    const histogram = new Histogram([1, 2, 4]);
    for (const value of [0, 1, 1.5, 2, 4, 4.1, 100]) histogram.observe(value);
    expect([...histogram.counts]).toEqual([2, 2, 1, 2]);
    expect(histogram).toMatchObject({ count: 7, sum: 112.6 });
    histogram.observe(1.5, 3);
    expect([...histogram.counts]).toEqual([2, 5, 1, 2]);
    expect(histogram).toMatchObject({ count: 10, sum: 117.1 });
  });

  it('agrees with sorting and counting for any values', () => {
    const random = seededRandom(11);
    const bounds = [0.1, 0.3, 0.35, 0.9];
    const histogram = new Histogram(bounds);
    const values = Array.from({ length: 2_000 }, () => random() * 1.2);
    values.forEach((value) => histogram.observe(value));
    const cumulative = bounds.map((bound) => values.filter((value) => value <= bound).length);
    let sum = 0;
    expect(bounds.map((_, i) => (sum += histogram.counts[i]!))).toEqual(cumulative);
    expect(histogram.mean).toBeCloseTo(values.reduce((a, b) => a + b, 0) / values.length, 10);
  });
});
