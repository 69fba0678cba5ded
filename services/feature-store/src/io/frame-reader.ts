import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { FrameColumn } from '../domain/frame-plan.js';
import { TextColumnType, valueOfText, type FrameBatch, type FrameFormat, type FrameValue } from '../domain/frame-values.js';
import { requestInvalid } from '../errors.js';
import { openArrowFrame } from './arrow-frame.js';
import { readCsv } from './csv-reader.js';
import { openParquetFrame } from './parquet-frame.js';

/** An entity frame on disk. */
export interface Frame {
  readonly columns: readonly FrameColumn[];
  readonly rows: number;
  /** From the beginning, each time. */
  batches(): AsyncIterable<FrameBatch>;
}

const OPENERS: Readonly<Record<FrameFormat, (path: string) => Promise<Frame>>> = {
  parquet: openParquetFrame,
  arrow: openArrowFrame,
  csv: (path) => openTextFrame(() => csv(path)),
  ndjson: (path) => openTextFrame(() => ndjson(path)),
};

/** Rows of one batch of the text formats. */
const BATCH_ROWS = 10_000;
const COLUMNS_MAX = 500;

/** @throws AppError REQUEST_INVALID when the bytes are not what the format says. */
export async function openFrame(path: string, format: FrameFormat): Promise<Frame> {
  const frame = await OPENERS[format](path);
  if (frame.rows === 0) throw requestInvalid('the frame has no rows');
  if (frame.columns.length > COLUMNS_MAX)
    throw requestInvalid(`the frame has ${frame.columns.length} columns; at most ${COLUMNS_MAX} are taken`);
  const bad = frame.columns.find(({ name }) => name === '' || name.length > 128 || name.includes('\0'));
  if (bad) throw requestInvalid(`${JSON.stringify(bad.name.slice(0, 80))} is no name for a column: 1 to 128 characters are wanted`);
  return frame;
}

/** Names once, then texts by row; an empty text is null. */
interface TextTable {
  readonly names: readonly string[];
  readonly rows: AsyncIterable<readonly (readonly string[])[]>;
}

/** Read twice: the first time finds the types, so the whole is never in memory. */
async function openTextFrame(open: () => Promise<TextTable>): Promise<Frame> {
  const first = await open();
  const types = first.names.map(() => new TextColumnType());
  let rows = 0;
  for await (const batch of first.rows) {
    for (const row of batch) for (const [i, type] of types.entries()) type.see(row[i]!);
    rows += batch.length;
  }
  const columns = first.names.map((name, i): FrameColumn => ({ name, type: types[i]!.type }));
  return {
    columns,
    rows,
    async *batches() {
      for await (const batch of (await open()).rows) {
        yield { rows: batch.length, columns: columns.map(({ type }, i) => batch.map((row): FrameValue => valueOfText(row[i]!, type))) };
      }
    },
  };
}

async function csv(path: string): Promise<TextTable> {
  const reader = readCsv(path, BATCH_ROWS);
  const { value: first } = (await reader.next()) as IteratorResult<string[][], undefined>;
  if (!first) throw requestInvalid('the frame is empty; a CSV frame begins with the names of its columns');
  const [names = [], ...records] = first;
  let line = 1;
  const check = (batch: readonly string[][]): readonly string[][] => {
    for (const record of batch) {
      line++;
      if (record.length !== names.length)
        throw requestInvalid(`record ${line} of the CSV frame has ${record.length} fields; its header has ${names.length}`);
    }
    return batch;
  };
  async function* rest(): AsyncGenerator<readonly string[][]> {
    yield check(records);
    for await (const batch of reader) yield check(batch);
  }
  return { names, rows: rest() };
}

/** Names are those of the first row; a later row may lack some, and has no others. */
async function ndjson(path: string): Promise<TextTable> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  const iterator = lines[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) throw requestInvalid('the frame has no rows');
  const names = Object.keys(parseRow(first.value, 1));
  async function* rows(): AsyncGenerator<readonly string[][]> {
    let batch: string[][] = [];
    let number = 0;
    for (let next = first; !next.done; next = await iterator.next()) {
      number++;
      if (next.value === '') continue;
      const row = parseRow(next.value, number);
      const other = Object.keys(row).find((name) => !names.includes(name));
      if (other !== undefined) throw requestInvalid(`row ${number} of the frame has a column ${other}, which the first row has not`);
      batch.push(names.map((name) => textOf(row[name], name, number)));
      if (batch.length >= BATCH_ROWS) {
        yield batch;
        batch = [];
      }
    }
    yield batch;
  }
  return { names, rows: rows() };
}

function parseRow(line: string, number: number): Record<string, unknown> {
  try {
    const row: unknown = JSON.parse(line);
    if (typeof row === 'object' && row !== null && !Array.isArray(row)) return row as Record<string, unknown>;
  } catch {
    // said below
  }
  throw requestInvalid(`row ${number} of the frame is no JSON object`);
}

function textOf(value: unknown, name: string, number: number): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw requestInvalid(`column ${name} of row ${number} of the frame holds ${JSON.stringify(value)?.slice(0, 60)}; one value is wanted`);
}
