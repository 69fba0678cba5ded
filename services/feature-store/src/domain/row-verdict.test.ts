import { expect, it } from 'vitest';
import { judgeRows, type HistoryRow } from './row-verdict.js';

const row = (
  eventTimeMs: number,
  firstIngestUs: number,
  lastIngestUs: number,
  contentHash: number,
  value: number | null = 1,
): HistoryRow => ({
  ...{ value, eventTimeMs, firstIngestUs, lastIngestUs, contentHash },
});
const ALL = { untilMs: undefined, nowMs: 1_000, asOfMs: undefined };

it('settles equal events by arrival, and equal arrivals by content', () => {
  const rows = [row(5, 7_000, 7_000, 1), row(5, 9_000, 9_000, 2), row(5, 9_000, 9_000, 3), row(4, 20_000, 20_000, 9)];
  for (const some of [rows, [...rows].reverse()]) {
    const { newest, lost } = judgeRows(some, ALL, 0);
    expect(newest!.contentHash).toBe(3);
    expect(lost.map(({ row: one, reason }) => [one.contentHash, reason])).toEqual([
      [2, 'smaller_content'],
      [1, 'earlier_arrival'],
      [9, 'older_event'],
    ]);
  }
});

it('counts a row that came again with its first arrival as of a moment before the second', () => {
  const rows = [row(5, 1_000, 9_000, 1), row(5, 2_000, 2_000, 2)];
  expect(judgeRows(rows, ALL, 0).newest!.contentHash).toBe(1);
  const asOf = judgeRows(rows, { ...ALL, asOfMs: 8 }, 0);
  expect([asOf.newest!.contentHash, asOf.lost[0]!.reason]).toEqual([2, 'earlier_arrival']);
  expect(judgeRows(rows, { ...ALL, asOfMs: 1 }, 0).lost).toEqual([{ row: rows[1], reason: 'not_arrived' }]);
  expect(judgeRows(rows, { ...ALL, asOfMs: 0 }, 0)).toMatchObject({ status: 'not_found', newest: undefined });
});

it('keeps the edge of the time to live, and tells null from nothing', () => {
  expect(judgeRows([row(900, 0, 0, 1)], ALL, 100).status).toBe('present');
  expect(judgeRows([row(899, 0, 0, 1)], ALL, 100)).toMatchObject({ status: 'outside_max_age', lost: [{ reason: 'too_old' }] });
  expect(judgeRows([row(900, 0, 0, 1, null)], ALL, 100).status).toBe('null_value');
  expect(judgeRows([row(900, 0, 0, 1)], { ...ALL, untilMs: 899 }, 0)).toMatchObject({ status: 'not_found', lost: [{ reason: 'later' }] });
});
