import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { seededRandom } from '@headrace/base/random';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { PlanColumn } from '../domain/point-in-time-plan.js';
import { CopyBuffer } from './copy-buffer.js';
import { readCopy } from './copy-reader.js';
import { ParquetTable, ROW_GROUP_ROWS } from './parquet-table.js';

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'headrace-parquet-'))));
afterAll(() => rm(folder, { recursive: true }));

const TYPES = ['int64', 'float64', 'string', 'bool', 'timestamp', 'embedding'] as const;
const columns: PlanColumn[] = TYPES.flatMap((type) =>
  [true, false].map((nullable) => ({ name: `${type}${nullable ? '?' : ''}`, type, source: '', nullable })),
);

it.each([0, 1, 7, 8, 9, 1_000, ROW_GROUP_ROWS + 3])(
  '%i rows of Postgres are the same rows in Parquet, wherever the chunks end',
  async (count) => {
    const random = seededRandom(count + 1);
    const rows = Array.from({ length: count }, () =>
      columns.map(({ type, nullable }) => (nullable && random() < 0.3 ? null : valueOf(type, random))),
    );
    const file = await open(join(folder, `${count}.parquet`), 'wx');
    const table = new ParquetTable(file, columns);
    await readCopy(inPieces(copyOf(rows), random), table, () => undefined);
    const written = await table.finish();
    await file.close();
    const bytes = await readFile(join(folder, `${count}.parquet`));
    expect(written).toMatchObject({ rows: count, bytes: bytes.length });
    const read = await parquetReadObjects({
      file: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer,
      compressors: { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) },
    });
    expect(read).toEqual(rows.map((row) => Object.fromEntries(columns.map(({ name, type }, i) => [name, expected(type, row[i])]))));
  },
);

type Value = number | string | boolean | readonly number[] | null;

function valueOf(type: PlanColumn['type'], random: () => number): Value {
  if (type === 'int64') return Math.floor((random() - 0.5) * 2 ** 53);
  if (type === 'float64') return random() < 0.1 ? -0 : (random() - 0.5) * 1e9;
  if (type === 'string') return ['', 'a', 'é|\\', 'x'.repeat(300)][Math.floor(random() * 4)]!;
  if (type === 'bool') return random() < 0.5;
  if (type === 'embedding') return [Math.fround(random()), -1, 0].slice(0, 1 + Math.floor(random() * 3));
  return Math.floor((random() - 0.5) * 4e12);
}

function expected(type: PlanColumn['type'], value: Value | undefined): unknown {
  // This reader gives undefined for a null list; pyarrow gives None.
  if (value === null) return type === 'embedding' ? undefined : null;
  return type === 'int64' ? BigInt(value as number) : type === 'timestamp' ? new Date(value as number) : value;
}

function copyOf(rows: readonly Value[][]): Buffer {
  const out = new CopyBuffer();
  const chunks: Buffer[] = [];
  out.header();
  for (const row of rows) {
    out.int16(columns.length);
    for (const [i, { type }] of columns.entries()) {
      const value = row[i]!;
      if (value === null) out.null();
      else if (type === 'int64') out.int64(value as number);
      else if (type === 'float64') out.float64(value as number);
      else if (type === 'string') out.text(value as string);
      else if (type === 'bool') out.bool(value as boolean);
      else if (type === 'embedding') out.float32s(value as readonly number[]);
      else out.timestampMs(value as number);
    }
    if (out.isFull()) chunks.push(out.take());
  }
  out.int16(-1);
  return Buffer.concat([...chunks, out.take()]);
}

async function* inPieces(bytes: Buffer, random: () => number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length;) {
    const to = at + 1 + Math.floor(random() * (bytes.length < 100_000 ? 40 : 60_000));
    yield await Promise.resolve(bytes.subarray(at, to));
    at = to;
  }
}
