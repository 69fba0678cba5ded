import { compareStamps } from '@headrace/codec/feature-blob';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrivalOfRecordUs, pushArrivals } from './arrival.js';
import { isExpired } from './freshness.js';
import { partitionOf } from './partition.js';
import { mergeDuplicates, newestByEntity, stampOf, type ArrivedRow, type MergedRow } from './row-order.js';

const arrived = fc.record({
  entityKey: fc.constantFrom('a', 'b'),
  keys: fc.constant(['a']),
  eventTimeMs: fc.integer({ min: 1, max: 3 }),
  contentHash: fc.integer({ min: 1, max: 3 }),
  values: fc.constant([]),
  ingestTimeUs: fc.integer({ min: 1, max: 4 }),
}) as fc.Arbitrary<ArrivedRow>;

/** What both stores would hold at the end: merged contents, and the newest of each entity. */
function endState(batches: readonly (readonly ArrivedRow[])[]): unknown {
  const stored = new Map<string, MergedRow>();
  const online = new Map<string, MergedRow>();
  for (const batch of batches) {
    const merged = mergeDuplicates(batch);
    for (const row of merged) {
      const key = `${row.entityKey}/${row.eventTimeMs}/${row.contentHash}`;
      const old = stored.get(key);
      stored.set(
        key,
        old
          ? {
              ...row,
              firstIngestUs: Math.min(old.firstIngestUs, row.firstIngestUs),
              lastIngestUs: Math.max(old.lastIngestUs, row.lastIngestUs),
            }
          : row,
      );
    }
    for (const row of newestByEntity(merged)) {
      const old = online.get(row.entityKey);
      if (!old || compareStamps(stampOf(row), stampOf(old)) > 0) online.set(row.entityKey, row);
    }
  }
  const offlineNewest = newestByEntity([...stored.values()]).map((row) => [row.entityKey, stampOf(row)]);
  const onlineRows = [...online.values()].map((row) => [row.entityKey, stampOf(row)]);
  return { stored: [...stored.entries()].sort(), offlineNewest: offlineNewest.sort(), onlineRows: onlineRows.sort() };
}

/** Slow and obvious. */
function mergedByText(rows: readonly ArrivedRow[]): unknown {
  const merged = new Map<string, [number, number]>();
  for (const { entityKey, eventTimeMs, contentHash, ingestTimeUs } of rows) {
    const key = `${entityKey}/${eventTimeMs}/${contentHash}`;
    const [first, last] = merged.get(key) ?? [Infinity, -Infinity];
    merged.set(key, [Math.min(first, ingestTimeUs), Math.max(last, ingestTimeUs)]);
  }
  return [...merged].sort();
}

describe('order of rows', () => {
  it('merges as a slow twin does, also when one entity has many rows in the batch', () => {
    const crowded = fc.record({
      entityKey: fc.constantFrom('a', 'b', 'c'),
      keys: fc.constant(['a']),
      eventTimeMs: fc.integer({ min: 1, max: 6 }),
      contentHash: fc.integer({ min: 1, max: 6 }),
      values: fc.constant([]),
      ingestTimeUs: fc.integer({ min: 1, max: 9 }),
    }) as fc.Arbitrary<ArrivedRow>;
    fc.assert(
      fc.property(fc.array(crowded, { maxLength: 200, size: 'max' }), (rows) => {
        const merged = mergeDuplicates(rows).map((row) => [
          `${row.entityKey}/${row.eventTimeMs}/${row.contentHash}`,
          [row.firstIngestUs, row.lastIngestUs],
        ]);
        expect(merged.sort()).toEqual(mergedByText(rows));
      }),
    );
  });

  it('ends in one state whatever the order, the repetitions and the batches, and both stores agree on the newest', () => {
    const run = fc
      .array(arrived, { minLength: 1, maxLength: 12 })
      .chain((rows) =>
        fc.tuple(
          fc.constant(rows),
          fc.shuffledSubarray([...rows, ...rows, ...rows], { minLength: rows.length * 3 }),
          fc.integer({ min: 1, max: 5 }),
        ),
      );
    fc.assert(
      fc.property(run, ([rows, shuffled, size]) => {
        const batches = Array.from({ length: Math.ceil(shuffled.length / size) }, (_, i) => shuffled.slice(i * size, (i + 1) * size));
        const state = endState(batches) as { offlineNewest: unknown; onlineRows: unknown };
        expect(state).toEqual(endState([rows]));
        expect(state.onlineRows).toEqual(state.offlineNewest);
      }),
      { seed: 5, numRuns: 500 },
    );
  });
});

describe('arrival', () => {
  it('is the same at every redelivery and grows with the offset within a millisecond', () => {
    expect(arrivalOfRecordUs(1_000, '41', 9_000)).toBe(1_000_041);
    expect(arrivalOfRecordUs(1_000, '9007199254740993', 9_000)).toBe(1_000_993);
  });

  it('does not trust a clock that runs ahead, or none at all', () => {
    expect(arrivalOfRecordUs(99_000, '0', 9_000)).toBe(9_000_000);
    expect(arrivalOfRecordUs(-1, '0', 9_000)).toBe(9_000_000);
    expect(arrivalOfRecordUs(Number.NaN, '0', 9_000)).toBe(9_000_000);
  });

  it('orders pushes of one millisecond', () => {
    const next = pushArrivals();
    expect([next(5), next(5), next(4), next(6)]).toEqual([5_000, 5_001, 5_002, 6_000]);
  });
});

it('expires a value when it is older than its time to live, not when it is exactly as old', () => {
  expect([isExpired(0, 100, 100), isExpired(0, 101, 100), isExpired(0, 1e15, 0), isExpired(200, 100, 50)]).toEqual([
    false,
    true,
    false,
    false,
  ]);
});

describe('partitions', () => {
  it.each([
    [12, '2015-06-30T23:59:59.999Z', '201501', '2015-01-01T00:00:00.000Z', '2016-01-01T00:00:00.000Z'],
    [12, '2016-01-01T00:00:00.000Z', '201601', '2016-01-01T00:00:00.000Z', '2017-01-01T00:00:00.000Z'],
    [1, '2016-02-29T12:00:00.000Z', '201602', '2016-02-01T00:00:00.000Z', '2016-03-01T00:00:00.000Z'],
    [12, '1900-01-01T00:00:00.000Z', '190001', '1900-01-01T00:00:00.000Z', '1901-01-01T00:00:00.000Z'],
    [24, '2017-01-01T00:00:00.000Z', '201601', '2016-01-01T00:00:00.000Z', '2018-01-01T00:00:00.000Z'],
  ])('of %i months put %s into %s', (months, time, suffix, from, to) => {
    expect(partitionOf(Date.parse(time), months)).toEqual({ suffix, fromMs: Date.parse(from), toMs: Date.parse(to) });
  });
});
