import { Injectable } from '@nestjs/common';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import { WindowStatistics, type WindowStatisticsJson } from '../domain/quality-statistics.js';
import { pinnedSpan, statisticsOf, windowShape } from '../domain/quality-windows.js';
import type { MergedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';

export interface QualityWindow {
  readonly startMs: number;
  readonly statistics: WindowStatistics;
}

/** Deltas of one transaction of folding: bounds its memory and length. */
const DELTAS_PER_FOLD = 500;
/** Folds of one call; what is left then is folded by the next. */
const FOLDS_MAX = 200;

/** In the transaction that stores the rows, and only rows that were not there before: so each stored row counts once, whatever happens. */
export async function addQuality(tx: Tx, view: View, fresh: readonly MergedRow[]): Promise<void> {
  const windows = [...statisticsOf(view, fresh)];
  if (windows.length === 0) return;
  await tx.execute(ADD_DELTAS, [
    view.id,
    windowShape(view.spec.quality!),
    windows.map(([startMs]) => startMs),
    windows.map(([, statistics]) => JSON.stringify(statistics)),
  ]);
}

/** Quality statistics in Postgres. */
@Injectable()
export class QualityStore {
  constructor(private readonly postgres: Postgres) {}

  /** Newest first, everything that was stored before the call included. @param fromMs, toMs of the starts, `to` excluded. */
  async windows(view: View, limit: number, span?: { readonly fromMs: number; readonly toMs: number }): Promise<QualityWindow[]> {
    await this.fold(view);
    const rows = await this.postgres.query<StoredWindow>(READ, [
      view.id,
      windowShape(view.spec.quality!),
      span?.fromMs ?? Number.MIN_SAFE_INTEGER,
      span?.toMs ?? Number.MAX_SAFE_INTEGER,
      limit,
    ]);
    return rows.map(({ start_ms: startMs, statistics }) => ({ startMs, statistics: new WindowStatistics().merge(statistics) }));
  }

  /** Start of the newest window that began by then and has rows enough. */
  async newestWith(view: View, rowsMin: number, startedByMs: number): Promise<number | undefined> {
    await this.fold(view);
    const [row] = await this.postgres.query<{ start_ms: number }>(
      'SELECT start_ms FROM quality_windows WHERE view_id = $1 AND shape = $2 AND rows >= $3 AND start_ms <= $4 ORDER BY start_ms DESC LIMIT 1',
      [view.id, windowShape(view.spec.quality!), rowsMin, startedByMs],
    );
    return row?.start_ms;
  }

  /** Brings the windows up to date and forgets those beyond the kept ones. Who comes second waits, and finds nothing left to do. */
  async fold(view: View): Promise<void> {
    for (let folds = 0; folds < FOLDS_MAX; folds++) {
      const folded = await this.postgres.transaction((tx) => foldSome(tx, view));
      if (folded < DELTAS_PER_FOLD) return;
    }
  }
}

async function foldSome(tx: Tx, view: View): Promise<number> {
  await lockQuality(tx, view);
  const deltas = await tx.query<StoredWindow & { shape: string }>(TAKE_DELTAS, [view.id, DELTAS_PER_FOLD]);
  if (deltas.length === 0) return 0;
  const shape = windowShape(view.spec.quality!);
  // Those of an older definition, whose windows nobody reads, are dropped here.
  const current = deltas.filter((delta) => delta.shape === shape);
  const known = await tx.query<StoredWindow>(READ_SOME, [view.id, shape, current.map((delta) => delta.start_ms)]);
  const windows = new Map<number, WindowStatistics>();
  for (const { start_ms: startMs, statistics } of [...known, ...current])
    windows.set(startMs, (windows.get(startMs) ?? new WindowStatistics()).merge(statistics));
  await saveWindows(tx, view, windows);
  const { fromMs, toMs } = pinnedSpan(view.spec.quality!);
  await tx.execute(FORGET, [view.id, shape, fromMs, toMs, view.spec.quality!.keep]);
  return deltas.length;
}

/** Alone with the windows of the view until the end of the transaction. */
export async function lockQuality(tx: Tx, view: View): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtext($1))', [`headrace quality of view ${view.id}`]);
}

export async function saveWindows(tx: Tx, view: View, windows: ReadonlyMap<number, WindowStatistics>): Promise<void> {
  const entries = [...windows];
  await tx.execute(SAVE, [
    view.id,
    windowShape(view.spec.quality!),
    entries.map(([startMs]) => startMs),
    entries.map(([, { rows }]) => rows),
    entries.map(([, statistics]) => JSON.stringify(statistics)),
  ]);
}

interface StoredWindow {
  readonly start_ms: number;
  readonly statistics: WindowStatisticsJson;
}

const ADD_DELTAS = `
INSERT INTO quality_deltas (view_id, shape, start_ms, statistics) SELECT $1, $2, s, t::json FROM unnest($3::bigint[], $4::text[]) AS d (s, t)`;

const TAKE_DELTAS = `
DELETE FROM quality_deltas WHERE id IN (SELECT id FROM quality_deltas WHERE view_id = $1 ORDER BY id LIMIT $2)
RETURNING shape, start_ms, statistics`;

const READ_SOME = 'SELECT start_ms, statistics FROM quality_windows WHERE view_id = $1 AND shape = $2 AND start_ms = ANY ($3::bigint[])';

const READ = `
SELECT start_ms, statistics FROM quality_windows
WHERE view_id = $1 AND shape = $2 AND start_ms >= $3 AND start_ms < $4 ORDER BY start_ms DESC LIMIT $5`;

const SAVE = `
INSERT INTO quality_windows (view_id, shape, start_ms, rows, statistics)
SELECT $1, $2, s, r, t::json FROM unnest($3::bigint[], $4::bigint[], $5::text[]) AS w (s, r, t)
ON CONFLICT (view_id, shape, start_ms) DO UPDATE SET rows = excluded.rows, statistics = excluded.statistics`;

/** $3 and $4: the fixed span of the reference, whose windows stay and do not count among the newest $5. */
const FORGET = `
DELETE FROM quality_windows WHERE view_id = $1 AND (shape <> $2 OR (NOT (start_ms >= $3 AND start_ms < $4) AND start_ms < (
  SELECT min(start_ms) FROM (
    SELECT start_ms FROM quality_windows WHERE view_id = $1 AND shape = $2 AND NOT (start_ms >= $3 AND start_ms < $4)
    ORDER BY start_ms DESC LIMIT $5) AS newest)))`;
