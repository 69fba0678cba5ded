import { expect, it } from 'vitest';
import { Tally } from './tally.js';

it('counts as a hand does', () => {
  const tally = new Tally();
  for (const [group, predicted, actual] of [
    ['1', 0, 1],
    ['1', 1, 1],
    ['1', 0, 0],
    ['2', 1, 1],
    ['2', 1, 0],
  ] as const)
    tally.add(group, predicted, actual);
  expect(tally.accuracy).toBeCloseTo(3 / 5);
  expect(tally.truePositiveRates()).toEqual({ 1: 0.5, 2: 1 });
  expect(tally.equalOpportunityDifference).toBe(0.5);
});
