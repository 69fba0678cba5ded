import { expect, it } from 'vitest';
import { chooseLeavers } from './memory-budget.js';

const tenants = [
  { model: 'busy', bytes: 40, usedAtMs: 1, mayLeave: false },
  { model: 'newest', bytes: 30, usedAtMs: 9, mayLeave: true },
  { model: 'oldest', bytes: 20, usedAtMs: 2, mayLeave: true },
  { model: 'middle', bytes: 10, usedAtMs: 5, mayLeave: true },
];

it.each<[number, string[]]>([
  [100, []],
  [99, ['oldest']],
  [80, ['oldest']],
  [79, ['oldest', 'middle']],
  [40, ['oldest', 'middle', 'newest']],
  [10, ['oldest', 'middle', 'newest']],
])('of 100 bytes within %i bytes leave %j', (budget, leavers) => {
  expect(chooseLeavers(tenants, budget)).toEqual(leavers);
});
