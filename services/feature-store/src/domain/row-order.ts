import { compareStamps, type RowStamp } from '@headrace/codec/feature-blob';
import type { FeatureRow } from './feature-row.js';

/** A row with its arrival. Microseconds since the epoch: the finest that Postgres keeps, and exact as a float64. */
export interface ArrivedRow extends FeatureRow {
  readonly ingestTimeUs: number;
}

/** One content of one entity at one instant, with its first and last arrival: what the offline store keeps as one row. */
export interface MergedRow extends FeatureRow {
  readonly firstIngestUs: number;
  readonly lastIngestUs: number;
}

/**
 * Duplicates become one row. First and last arrival are a minimum and a maximum, so any order, repetition or split of the same
 * rows into batches ends in the same stored state.
 */
export function mergeDuplicates(rows: readonly ArrivedRow[]): MergedRow[] {
  const merged = new Map<string, MergedRow>();
  for (const row of rows) {
    const key = `${row.eventTimeMs}/${row.contentHash}/${row.entityKey}`;
    const before = merged.get(key);
    const firstIngestUs = Math.min(row.ingestTimeUs, before?.firstIngestUs ?? Infinity);
    const lastIngestUs = Math.max(row.ingestTimeUs, before?.lastIngestUs ?? -Infinity);
    const { entityKey, keys, eventTimeMs, values, contentHash } = row;
    merged.set(key, { entityKey, keys, eventTimeMs, values, contentHash, firstIngestUs, lastIngestUs });
  }
  return [...merged.values()];
}

/** The row that the online store should hold for each entity of the batch. */
export function newestByEntity(rows: readonly MergedRow[]): MergedRow[] {
  const newest = new Map<string, MergedRow>();
  for (const row of rows) {
    const best = newest.get(row.entityKey);
    if (!best || compareStamps(stampOf(row), stampOf(best)) > 0) newest.set(row.entityKey, row);
  }
  return [...newest.values()];
}

export function stampOf(row: MergedRow): RowStamp {
  return { eventTimeMs: row.eventTimeMs, ingestTimeMs: row.lastIngestUs / 1000, tieBreak: row.contentHash };
}
