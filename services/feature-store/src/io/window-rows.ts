import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { EventRow } from '@headrace/windows/measure';
import type { Knowledge } from '../domain/point-in-time-probe.js';
import { windowEntitiesSql, windowRowsSql } from '../domain/window-rows-sql.js';
import type { View } from '../domain/view.js';

/** A stretch of one entity's rows: event times from (included) to (excluded, may be Infinity). */
export interface RowRange {
  readonly entityKey: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface RangedRow {
  /** Index of the range. */
  readonly range: number;
  readonly row: EventRow;
}

/** Rows of one fetch: bounds the memory of a read, whatever the length of the ranges. */
const FETCH_ROWS = 10_000;
/** For one fetch, the first of which sorts the rows of all ranges. */
const FETCH_TIMEOUT_MS = 120_000;

/** The raw rows behind windows. */
@Injectable()
export class WindowRows {
  constructor(private readonly postgres: Postgres) {}

  /** All rows of the ranges from one snapshot: by range, then ascending by time and tie. @param knowledge which of them count as known. */
  async *read(view: View, ranges: readonly RowRange[], knowledge: Knowledge = { kind: 'all' }): AsyncGenerator<RangedRow[]> {
    if (ranges.length === 0) return;
    const params = [
      ranges.map((r) => r.entityKey),
      ranges.map((r) => new Date(r.fromMs).toISOString()),
      ranges.map((r) => (r.toMs === Infinity ? 'infinity' : new Date(r.toMs).toISOString())),
    ];
    const batches = this.postgres.cursor<StoredRow>(windowRowsSql(view, knowledge), params, FETCH_ROWS, {
      statementTimeoutMs: FETCH_TIMEOUT_MS,
    });
    const columns = view.windows!.columns.map((_, i) => `c${i}` as const);
    for await (const batch of batches) {
      yield batch.map((stored) => ({
        range: stored.n - 1,
        row: { timeMs: stored.event_ms, tie: stored.content, values: columns.map((column) => stored[column] ?? null) },
      }));
    }
  }

  /** Every entity behind that one with a row since then, in order, in batches. */
  async *entities(view: View, sinceMs: number, afterEntity: string, batchRows: number): AsyncGenerator<string[]> {
    const sql = windowEntitiesSql(view);
    for await (const batch of this.postgres.cursor<{ entity: string }>(sql, [new Date(sinceMs).toISOString(), afterEntity], batchRows, {
      statementTimeoutMs: FETCH_TIMEOUT_MS,
    }))
      yield batch.map(({ entity }) => entity);
  }
}

type StoredRow = { readonly n: number; readonly event_ms: number; readonly content: number } & {
  readonly [column: `c${number}`]: number | string | boolean | null;
};
