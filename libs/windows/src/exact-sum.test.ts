import { seededRandom } from '@headrace/base/random';
import { expect, it } from 'vitest';
import { exactSum, toNumber } from '../test/slow-windows.js';
import { ByteReader, ByteWriter } from './bytes.js';
import { ExactSum } from './exact-sum.js';

const sumOf = (values: readonly number[]): ExactSum => {
  const sum = new ExactSum();
  for (const value of values) sum.add(value);
  return sum;
};
const bytesOf = (sum: ExactSum): Buffer => {
  const out = new ByteWriter();
  sum.write(out);
  return out.take();
};

it('equals the sum of exact fractions, rounded once, for numbers of every magnitude', () => {
  const random = seededRandom(1);
  for (let round = 0; round < 400; round++) {
    const spread = round % 2 === 0 ? 40 : 1500;
    const values = Array.from({ length: 1 + Math.floor(random() * 40) }, () => (random() - 0.5) * 2 ** ((random() - 0.5) * spread));
    // Cancellation to almost nothing.
    if (round % 3 === 0) values.push(...values.map((value) => -value), 2 ** -60);
    expect(sumOf(values).rounded()).toBe(toNumber(exactSum(values)) + 0);
  }
});

it('rounds half-way cases to even, as one rounding of the exact sum does', () => {
  for (const values of [
    [2 ** 53, 1],
    [2 ** 53, 1, 2 ** -80],
    [2 ** 53, 3],
    [2 ** 53, 1, -(2 ** -80)],
    [1, 2 ** -53, 2 ** -106],
    [1e16, 1, 1e-16],
  ])
    expect(sumOf(values).rounded()).toBe(toNumber(exactSum(values)));
});

it('has the same bytes whatever the order and the grouping', () => {
  const random = seededRandom(2);
  const values = Array.from({ length: 60 }, () => (random() - 0.5) * 10 ** Math.floor(random() * 30));
  const once = bytesOf(sumOf(values));
  for (let round = 0; round < 50; round++) {
    const shuffled = [...values].sort(() => random() - 0.5);
    const cut = Math.floor(random() * shuffled.length);
    const left = sumOf(shuffled.slice(0, cut));
    left.mergeFrom(new ByteReader().over(bytesOf(sumOf(shuffled.slice(cut)))));
    expect(bytesOf(left)).toEqual(once);
  }
});

it('keeps a product whole', () => {
  const sum = new ExactSum();
  sum.addProduct(1 + 2 ** -40, 1 + 2 ** -40);
  sum.add(-1);
  sum.add(-(2 ** -39));
  expect(sum.rounded()).toBe(2 ** -80);
});
