import { Injectable } from '@nestjs/common';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import { entityKeyIn, type ErasedEntity } from '../domain/erasure.js';
import { rowTable } from '../domain/identifier.js';
import { WindowTally, type WindowStatistics } from '../domain/quality-statistics.js';
import { windowShape, windowStart, type QualityObjective } from '../domain/quality-windows.js';
import type { View } from '../domain/view.js';
import { storedColumns, toMergedRow, type StoredRow } from './offline-store.js';
import { lockQuality, saveWindows } from './quality-store.js';

/** For one statement of an erasure: it reads whole partitions where no index helps. */
const STATEMENT_TIMEOUT_MS = 600_000;
const FETCH_ROWS = 5_000;

type Keys = Pick<ErasedEntity, 'keyNames' | 'keyValues'>;

/** Everything in Postgres that lies under an entity of a view. */
@Injectable()
export class EntityRows {
  constructor(private readonly postgres: Postgres) {}

  /** Joined keys of the view's entities that are of this one. */
  async keysOf(view: View, keys: Keys): Promise<string[]> {
    const exact = entityKeyIn(view, keys);
    if (exact !== undefined) return [exact];
    const where = keys.keyNames.map((name, i) => `_key_${view.joinKeys.indexOf(name)} = $${i + 1}`);
    const rows = await this.postgres.transaction(
      (tx) =>
        tx.query<{ entity: string }>(
          `SELECT DISTINCT _entity AS entity FROM ${rowTable(view.id)} WHERE ${where.join(' AND ')}`,
          keys.keyValues,
        ),
      { readOnly: true, statementTimeoutMs: STATEMENT_TIMEOUT_MS },
    );
    return rows.map(({ entity }) => entity);
  }

  /**
   * Deletes the rows up to that event time, with the findings of the inspection, and makes the windows of statistics anew that counted them, as of one moment. Rows
   * and statistics that are added meanwhile stay apart from both. @param note is called in the same transaction.
   */
  erase(
    view: View,
    entityKeys: readonly string[],
    untilMs: number,
    note: (tx: Tx, erased: { rows: number; findings: number; qualityWindows: number }) => Promise<void>,
  ): Promise<void> {
    const table = rowTable(view.id);
    return this.postgres.transaction(
      async (tx) => {
        if (view.spec.quality) await lockQuality(tx, view);
        const deleted = await tx.query<{ event_ms: number; first_ms: number }>(
          `DELETE FROM ${table} WHERE _entity = ANY ($1::text[]) AND _event_time <= $2 RETURNING
             (extract(epoch FROM _event_time) * 1000000)::bigint / 1000 AS event_ms, (extract(epoch FROM _first_ingest) * 1000000)::bigint / 1000 AS first_ms`,
          [entityKeys, new Date(untilMs)],
        );
        if (deleted.length > 0)
          await tx.execute(
            'INSERT INTO view_row_counts AS c (view_id, shard, rows) VALUES ($1, 0, $2) ON CONFLICT (view_id, shard) DO UPDATE SET rows = c.rows + excluded.rows',
            [view.id, -deleted.length],
          );
        const findings = await tx.execute('DELETE FROM consistency_findings WHERE view_id = $1 AND entity = ANY ($2::text[])', [
          view.id,
          entityKeys,
        ]);
        const { quality } = view.spec;
        const starts = quality
          ? new Set(deleted.map((row) => windowStart(quality, quality.by === 'event' ? row.event_ms : row.first_ms)))
          : undefined;
        const qualityWindows = quality && starts!.size > 0 ? await remakeWindows(tx, view, quality, [...starts!]) : 0;
        await note(tx, { rows: deleted.length, findings, qualityWindows });
      },
      { isolation: 'repeatable read', statementTimeoutMs: STATEMENT_TIMEOUT_MS },
    );
  }
}

/** From the rows that remain. Only windows that are kept: what nobody counts any more holds nothing. @returns how many. */
async function remakeWindows(tx: Tx, view: View, quality: QualityObjective, starts: readonly number[]): Promise<number> {
  const shape = windowShape(quality);
  const kept = await tx.query<{ start_ms: number }>(
    `SELECT start_ms FROM quality_windows WHERE view_id = $1 AND shape = $2 AND start_ms = ANY ($3::bigint[])
     UNION SELECT start_ms FROM quality_deltas WHERE view_id = $1 AND shape = $2 AND start_ms = ANY ($3::bigint[])`,
    [view.id, shape, starts],
  );
  if (kept.length === 0) return 0;
  const tallies = new Map(kept.map(({ start_ms: start }) => [start, new WindowTally(view.spec.features)]));
  const [column, time] = quality.by === 'event' ? ['_event_time', 'eventTimeMs' as const] : ['_first_ingest', 'firstIngestUs' as const];
  const from = new Date(Math.min(...tallies.keys()));
  const to = new Date(Math.max(...tallies.keys()) + quality.window);
  await tx.execute(
    `DECLARE remaining NO SCROLL CURSOR FOR SELECT ${storedColumns(view)} FROM ${rowTable(view.id)} WHERE ${column} >= $1 AND ${column} < $2`,
    [from, to],
  );
  for (let fetched = FETCH_ROWS; fetched === FETCH_ROWS;) {
    const rows = await tx.query<StoredRow>(`FETCH ${FETCH_ROWS} FROM remaining`);
    fetched = rows.length;
    for (const stored of rows) {
      const row = toMergedRow(view, stored);
      tallies.get(windowStart(quality, time === 'eventTimeMs' ? row.eventTimeMs : row.firstIngestUs / 1000))?.add(row.values);
    }
  }
  await tx.execute('CLOSE remaining');
  const windows = new Map<number, WindowStatistics>([...tallies].map(([start, tally]) => [start, tally.finish()]));
  await tx.execute('DELETE FROM quality_deltas WHERE view_id = $1 AND shape = $2 AND start_ms = ANY ($3::bigint[])', [
    view.id,
    shape,
    [...windows.keys()],
  ]);
  await saveWindows(tx, view, windows);
  return windows.size;
}
