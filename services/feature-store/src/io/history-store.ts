import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { DuckDbPlan } from '../domain/duckdb-plan.js';
import { readCopy } from './copy-reader.js';
import { ParquetTable, type ByteSink } from './parquet-table.js';

/** For the statement that copies one history out. */
const EXPORT_TIMEOUT_MS = 3_600_000;

/** Histories of views as Parquet, by binary COPY. */
@Injectable()
export class HistoryStore {
  constructor(private readonly postgres: Postgres) {}

  async write({ sql, columns }: DuckDbPlan['histories'][number], out: Writable): Promise<void> {
    const table = new ParquetTable(fileOf(out), columns);
    await this.postgres.transaction((tx) => readCopy(tx.copyTo(`COPY (${sql}) TO STDOUT (FORMAT binary)`), table, () => undefined), {
      readOnly: true,
      statementTimeoutMs: EXPORT_TIMEOUT_MS,
    });
    await table.finish();
    out.end();
  }
}

/** A stream as the table sees a file: it waits for a slow reader, and fails when the reader has gone. */
function fileOf(out: Writable): ByteSink {
  return {
    appendFile: async (bytes) => {
      if (out.destroyed) throw new Error('the reader of the export has gone');
      if (!out.write(bytes)) await Promise.race([once(out, 'drain'), once(out, 'close')]);
    },
    sync: () => Promise.resolve(),
  };
}
