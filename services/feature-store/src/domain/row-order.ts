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

/** Rows of one entity in a batch that are compared one by one: building a text of three parts for each row costs a microsecond. */
const CROWD = 8;

/**
 * Duplicates become one row. First and last arrival are a minimum and a maximum, so any order, repetition or split of the same
 * rows into batches ends in the same stored state.
 */
export function mergeDuplicates(rows: readonly ArrivedRow[]): MergedRow[] {
  const merged: { -readonly [K in keyof MergedRow]: MergedRow[K] }[] = [];
  /** By entity one of its merged rows; `next` leads to the others, at most CROWD. */
  const firstOf = new Map<string, number>();
  const next = new Int32Array(rows.length);
  /** What is beyond that: by entity, instant and content. */
  const crowd = new Map<string, number>();
  for (const { entityKey, keys, eventTimeMs, values, contentHash, ingestTimeUs } of rows) {
    const first = firstOf.get(entityKey) ?? -1;
    let at = first;
    let steps = 0;
    for (; at >= 0 && (merged[at]!.contentHash !== contentHash || merged[at]!.eventTimeMs !== eventTimeMs); at = next[at]!) steps++;
    const crowdKey = at < 0 && steps >= CROWD ? `${eventTimeMs}/${contentHash}/${entityKey}` : undefined;
    if (crowdKey !== undefined) at = crowd.get(crowdKey) ?? -1;
    if (at < 0) {
      if (crowdKey !== undefined) crowd.set(crowdKey, merged.length);
      else {
        next[merged.length] = first;
        firstOf.set(entityKey, merged.length);
      }
      merged.push({ entityKey, keys, eventTimeMs, values, contentHash, firstIngestUs: ingestTimeUs, lastIngestUs: ingestTimeUs });
      continue;
    }
    const known = merged[at]!;
    if (ingestTimeUs < known.firstIngestUs) known.firstIngestUs = ingestTimeUs;
    if (ingestTimeUs > known.lastIngestUs) known.lastIngestUs = ingestTimeUs;
  }
  return merged;
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
