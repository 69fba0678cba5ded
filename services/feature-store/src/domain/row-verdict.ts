import { compareStamps, type FeatureValue } from '@headrace/codec/feature-blob';
import { isExpired } from './freshness.js';
import type { FieldStatus } from './online-vector.js';

/** A row of one entity, with the value of one feature in it. */
export interface HistoryRow {
  readonly value: FeatureValue;
  readonly eventTimeMs: number;
  readonly firstIngestUs: number;
  readonly lastIngestUs: number;
  readonly contentHash: number;
}

/** Why a row does not count. */
export type LostReason = 'later' | 'not_arrived' | 'too_old' | 'older_event' | 'earlier_arrival' | 'smaller_content' | 'before_window';

export interface LostRow {
  readonly row: HistoryRow;
  readonly reason: LostReason;
}

export interface Moment {
  /** Rows after it do not count; undefined = the newest row counts whatever its event time, as in the online store. */
  readonly untilMs: number | undefined;
  /** What the age of a row is taken against. */
  readonly nowMs: number;
  /** Only rows that had arrived by then; undefined = all. */
  readonly asOfMs: number | undefined;
}

export interface RowVerdict {
  readonly status: FieldStatus;
  /** Shown also when it is too old to count: it is the one that nothing replaced. */
  readonly newest: HistoryRow | undefined;
  readonly lost: readonly LostRow[];
}

/**
 * Which row gives a feature its value, by the one order of both stores: event time, then arrival, then content. A slow twin of the join's
 * statement and of the online store's compare-and-set, which tests compare with both.
 */
export function judgeRows(rows: readonly HistoryRow[], { untilMs, nowMs, asOfMs }: Moment, ttlMs: number): RowVerdict {
  const asOfUs = asOfMs === undefined ? Infinity : asOfMs * 1000;
  // As of a moment before its last arrival, a row counts with its first.
  const arrivalUs = (row: HistoryRow): number => (row.lastIngestUs <= asOfUs ? row.lastIngestUs : row.firstIngestUs);
  const order = (a: HistoryRow, b: HistoryRow): number =>
    compareStamps(
      { eventTimeMs: b.eventTimeMs, ingestTimeMs: arrivalUs(b) / 1000, tieBreak: b.contentHash },
      { eventTimeMs: a.eventTimeMs, ingestTimeMs: arrivalUs(a) / 1000, tieBreak: a.contentHash },
    );
  const sorted = [...rows].sort(order);
  const outside = (row: HistoryRow): LostReason | undefined => {
    if (untilMs !== undefined && row.eventTimeMs > untilMs) return 'later';
    return row.firstIngestUs > asOfUs ? 'not_arrived' : undefined;
  };
  const newest = sorted.find((row) => outside(row) === undefined);
  const isOld = newest !== undefined && isExpired(newest.eventTimeMs, nowMs, ttlMs);
  const lost = sorted.flatMap((row): LostRow[] => {
    if (row === newest) return isOld ? [{ row, reason: 'too_old' }] : [];
    return [{ row, reason: outside(row) ?? lostTo(newest!, row, arrivalUs) }];
  });
  const status = newest === undefined ? 'not_found' : isOld ? 'outside_max_age' : newest.value === null ? 'null_value' : 'present';
  return { status, newest, lost };
}

function lostTo(winner: HistoryRow, row: HistoryRow, arrivalUs: (row: HistoryRow) => number): LostReason {
  if (row.eventTimeMs < winner.eventTimeMs) return 'older_event';
  return arrivalUs(row) < arrivalUs(winner) ? 'earlier_arrival' : 'smaller_content';
}
