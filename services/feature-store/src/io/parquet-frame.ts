import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { messageOf } from '@headrace/base/errors';
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead, type FileMetaData, type SchemaElement } from 'hyparquet';
import type { FrameColumn } from '../domain/frame-plan.js';
import type { FrameBatch, FrameValue } from '../domain/frame-values.js';
import { requestInvalid } from '../errors.js';
import type { Frame } from './frame-reader.js';

/** One row group is decoded at a time, so this bounds the memory of a frame; pandas writes a million rows a group. */
const ROW_GROUP_BYTES_MAX = 256 * 1024 * 1024;

/** @throws AppError REQUEST_INVALID */
export async function openParquetFrame(path: string): Promise<Frame> {
  const file = await asyncBufferFromFile(path);
  const metadata = await understood(() => parquetMetadataAsync(file));
  const columns = metadata.schema.slice(1).map(columnOf);
  for (const [i, group] of metadata.row_groups.entries()) {
    const bytes = Number(group.total_byte_size);
    if (bytes > ROW_GROUP_BYTES_MAX)
      throw requestInvalid(
        `row group ${i} of the Parquet frame has ${bytes} bytes; at most ${ROW_GROUP_BYTES_MAX} are taken, so write it with smaller row groups`,
      );
  }
  return {
    columns,
    rows: Number(metadata.num_rows),
    async *batches() {
      let from = 0;
      for (const group of metadata.row_groups) {
        const rows = Number(group.num_rows);
        if (rows > 0) yield await readGroup(file, metadata, columns, from, rows);
        from += rows;
      }
    },
  };
}

async function readGroup(
  file: Awaited<ReturnType<typeof asyncBufferFromFile>>,
  metadata: FileMetaData,
  columns: readonly FrameColumn[],
  from: number,
  rows: number,
): Promise<FrameBatch> {
  const read = new Map<string, FrameValue[]>(columns.map(({ name }) => [name, new Array<FrameValue>(rows).fill(null)]));
  await understood(() =>
    parquetRead({
      file,
      metadata,
      rowStart: from,
      rowEnd: from + rows,
      compressors: COMPRESSORS,
      parsers: PARSERS,
      onChunk: ({ columnName, columnData, rowStart }) => {
        const column = read.get(columnName)!;
        for (let i = 0; i < columnData.length; i++) column[rowStart - from + i] = (columnData[i] as FrameValue | undefined) ?? null;
      },
    }),
  );
  return { rows, columns: columns.map(({ name }) => read.get(name)!) };
}

const COMPRESSORS = {
  ZSTD: (input: Uint8Array) => zstdDecompressSync(input),
  GZIP: (input: Uint8Array) => gunzipSync(input),
  BROTLI: (input: Uint8Array) => brotliDecompressSync(input),
};

/** Times as microseconds. */
const PARSERS = {
  timestampFromMilliseconds: (ms: bigint) => Number(ms) * 1000,
  timestampFromMicroseconds: (us: bigint) => Number(us),
  timestampFromNanoseconds: (ns: bigint) => Number(ns / 1000n),
  dateFromDays: (days: number) => days * 86_400_000_000,
};

function columnOf(element: SchemaElement): FrameColumn {
  const { name, type: physical, converted_type: converted, logical_type: logical } = element;
  const kind = logical?.type ?? converted ?? '';
  if ((element.num_children ?? 0) > 0 || element.repetition_type === 'REPEATED')
    throw requestInvalid(`column ${name} of the Parquet frame is nested; columns of single values are wanted`);
  if (/^(TIMESTAMP|DATE)/.test(kind) || physical === 'INT96') return { name, type: 'timestamp' };
  if (physical === 'BOOLEAN') return { name, type: 'bool' };
  if ((physical === 'INT32' || physical === 'INT64') && !/DECIMAL|TIME/.test(kind)) return { name, type: 'int64' };
  if (physical === 'FLOAT' || physical === 'DOUBLE') return { name, type: 'float64' };
  if (physical === 'BYTE_ARRAY' && /^(UTF8|STRING|ENUM|)$/.test(kind)) return { name, type: 'string' };
  throw requestInvalid(`column ${name} of the Parquet frame has type ${physical} ${kind}, which is not taken; cast it`);
}

async function understood<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw requestInvalid(`the Parquet frame cannot be read: ${messageOf(error)}`);
  }
}
