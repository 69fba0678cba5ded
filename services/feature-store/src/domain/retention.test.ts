import { expect, it } from 'vitest';
import { viewOf } from '../../test/views.js';
import { partitionOf } from './partition.js';
import { partitionMonthsFor, partitionNamed, retentionOf } from './retention.js';

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2026, 0, 1);

it('keeps what a join at the oldest moment looks back on: the time to live, and the longest window with its hop', () => {
  expect(retentionOf(viewOf({}), NOW_MS)).toBeUndefined();
  expect(retentionOf(viewOf({ retention: '10d', ttl: '2d' }), NOW_MS)).toEqual({
    cutMs: NOW_MS - 10 * DAY_MS,
    floorMs: NOW_MS - 12 * DAY_MS,
    keepsNewest: false,
  });
  const aggregations = [{ function: 'sum' as const, column: 'a', windows: ['30d', '1h'] }];
  expect(retentionOf(viewOf({ retention: '10d', aggregations }), NOW_MS)).toEqual({
    cutMs: NOW_MS - 10 * DAY_MS,
    floorMs: NOW_MS - (10 + 30 + 1) * DAY_MS,
    keepsNewest: true,
  });
});

it('cuts the history into months when little of it is kept, and finds a partition again by its name', () => {
  expect([viewOf({}), viewOf({ retention: '30d' }), viewOf({ retention: '1000d' })].map(({ spec }) => partitionMonthsFor(spec))).toEqual([
    12, 1, 12,
  ]);
  for (const months of [1, 12])
    for (const ms of [0, NOW_MS, Date.UTC(1999, 11, 31)]) {
      const partition = partitionOf(ms, months);
      expect(partitionNamed(partition.suffix, months)).toEqual(partition);
    }
});
