import { createReadStream } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { extname, resolve, sep } from 'node:path';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { CsvRecords } from '../domain/csv-records.js';
import type { BackfillPosition } from '../domain/backfill.js';
import type { TableRow } from '../domain/table-row.js';
import { requestInvalid } from '../errors.js';

/** Rows to read, from a position on. */
export interface Table {
  readonly columns: readonly string[];
  count(signal: AbortSignal): Promise<number>;
  /** Each batch comes with the position behind it. */
  batches(from: BackfillPosition, size: number): AsyncIterable<{ readonly rows: readonly TableRow[]; readonly position: BackfillPosition }>;
  close(): Promise<void>;
}

/** A file inside the folder, links followed. @throws AppError REQUEST_INVALID when it lies outside, is not there or of another kind */
export async function openTableFile(folder: string, path: string): Promise<Table> {
  const inside = await realpath(folder).catch(() => undefined);
  const file = inside && (await realpath(resolve(inside, path)).catch(() => undefined));
  if (!file?.startsWith(inside + sep))
    throw requestInvalid(`no file ${JSON.stringify(path)} in the folder of backfills (HEADRACE_FEATURES_BACKFILL_FOLDER)`);
  const kind = extname(file).toLowerCase();
  if (kind === '.csv') return openCsv(file);
  if (kind === '.parquet') return openParquet(file);
  throw requestInvalid(`${JSON.stringify(path)} ends in ${kind || 'nothing'}; .csv and .parquet can be read`);
}

async function openCsv(file: string): Promise<Table> {
  const first = await csvRecords(file).next();
  if (first.done) throw requestInvalid('the file is empty; its first line must name the columns');
  const columns = first.value.map((name) => name.trim().replace(/^\uFEFF/, ''));
  return {
    columns,
    count: async (signal) => {
      let records = -1;
      for await (const _ of csvRecords(file, signal)) records++;
      return records;
    },
    batches: async function* (from, size) {
      let done = -1;
      let rows: TableRow[] = [];
      for await (const record of csvRecords(file)) {
        if (done++ < from.rows) continue;
        rows.push(Object.fromEntries(columns.map((name, i) => [name, record[i] ?? ''])));
        if (rows.length < size) continue;
        yield { rows, position: at(done) };
        rows = [];
      }
      if (rows.length > 0) yield { rows, position: at(done) };
    },
    close: () => Promise.resolve(),
  };
}

async function* csvRecords(file: string, signal?: AbortSignal): AsyncGenerator<string[]> {
  const parser = new CsvRecords();
  const stream = createReadStream(file, { encoding: 'utf8', ...(signal ? { signal } : {}) });
  for await (const text of stream as AsyncIterable<string>) yield* parser.push(text);
  yield* parser.end();
}

async function openParquet(path: string): Promise<Table> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  const total = Number(metadata.num_rows);
  return {
    columns: parquetSchema(metadata).children.map((column) => column.element.name),
    count: () => Promise.resolve(total),
    batches: async function* (from, size) {
      for (let start = from.rows; start < total; start += size) {
        const rowEnd = Math.min(total, start + size);
        yield { rows: await parquetReadObjects({ file, metadata, rowStart: start, rowEnd }), position: at(rowEnd) };
      }
    },
    close: () => Promise.resolve(),
  };
}

function at(rows: number): BackfillPosition {
  return { rows, eventTimeUs: null, tied: 0 };
}
