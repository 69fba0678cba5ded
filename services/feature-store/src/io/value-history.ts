import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { rowTable } from '../domain/identifier.js';
import { arrival, instant, known, type Knowledge } from '../domain/point-in-time-probe.js';
import type { HistoryRow } from '../domain/row-verdict.js';
import type { View } from '../domain/view.js';
import { storedColumns, toMergedRow, type StoredRow } from './offline-store.js';

/** Which rows of an entity, the nearest to the edge first. */
export interface HistorySlice {
  /** Event times up to here, the newest first; undefined = from the newest of all. */
  readonly untilMs?: number | undefined;
  /** Event times after here, the oldest first. Not together with `untilMs`. */
  readonly afterMs?: number;
  /** Only what arrived first after here. */
  readonly arrivedAfterMs?: number;
  readonly knowledge: Knowledge;
  readonly limit: number;
}

/** A few rows of one entity, for a person. */
@Injectable()
export class ValueHistory {
  constructor(private readonly postgres: Postgres) {}

  /** @param column index into the features of the view; undefined = of no feature. */
  async read(view: View, entityKey: string, column: number | undefined, slice: HistorySlice): Promise<HistoryRow[]> {
    const rows = await this.postgres.query<StoredRow>(historySql(view, slice), [entityKey]);
    return rows.map((stored) => {
      const { values, eventTimeMs, firstIngestUs, lastIngestUs, contentHash } = toMergedRow(view, stored);
      return { value: column === undefined ? null : (values[column] ?? null), eventTimeMs, firstIngestUs, lastIngestUs, contentHash };
    });
  }
}

/** One probe of the covering index, ordered as the join orders: the row that wins is the first. */
export function historySql(view: View, { untilMs, afterMs, knowledge, arrivedAfterMs, limit }: HistorySlice): string {
  const until = untilMs === undefined ? '' : ` AND _event_time <= ${instant(untilMs)}`;
  const after = afterMs === undefined ? '' : ` AND _event_time > ${instant(afterMs)}`;
  const late = arrivedAfterMs === undefined ? '' : ` AND _first_ingest > ${instant(arrivedAfterMs)}`;
  const direction = afterMs === undefined ? 'DESC' : 'ASC';
  return [
    `SELECT ${storedColumns(view)}`,
    `FROM ${rowTable(view.id)}`,
    `WHERE _entity = $1${until}${after}${late}${known('', knowledge)}`,
    `ORDER BY _event_time ${direction}, ${arrival('', knowledge)} ${direction}, _content ${direction}`,
    `LIMIT ${limit}`,
  ].join('\n');
}
