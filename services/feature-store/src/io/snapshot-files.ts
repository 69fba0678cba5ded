import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { splitEntityKey } from '@headrace/codec/feature-key';
import { ByteWriter, ParquetWriter, schemaFromColumnData, type BasicType, type Writer } from 'hyparquet-writer';
import type { PlanColumn } from '../domain/point-in-time-plan.js';
import { trainingSetUnknown } from '../errors.js';
import type { JoinedRow } from './training-set-store.js';

export interface Snapshot {
  /** sha256 of the bytes. */
  readonly hash: string;
  readonly rows: number;
  readonly bytes: number;
}

/** Injection token: folder of the snapshots. */
export const SNAPSHOT_FOLDER = Symbol('snapshot folder');

/** Parquet files named by the hash of their bytes; a file under its final name is complete and never changes. */
@Injectable()
export class SnapshotFiles {
  constructor(@Inject(SNAPSHOT_FOLDER) private readonly folder: string) {}

  /** One batch becomes one row group, so memory stays at one batch. @returns undefined when there are no rows. */
  async write(
    columns: readonly PlanColumn[],
    batches: AsyncIterable<readonly JoinedRow[]>,
    signal: AbortSignal,
  ): Promise<Snapshot | undefined> {
    return this.create((file) => writeFile(file, columns, batches, signal));
  }

  /** @param write fills the new file; what it gives undefined for, or throws, leaves nothing behind. */
  async create(write: (file: FileHandle) => Promise<Snapshot | undefined>): Promise<Snapshot | undefined> {
    await mkdir(this.folder, { recursive: true });
    const temporary = join(this.folder, `.${randomBytes(8).toString('hex')}.tmp`);
    const file = await open(temporary, 'wx');
    try {
      const snapshot = await write(file);
      await file.close();
      if (snapshot) await rename(temporary, this.#path(snapshot.hash));
      return snapshot;
    } finally {
      await file.close();
      await rm(temporary, { force: true });
    }
  }

  /** @throws AppError TRAINING_SET_UNKNOWN */
  async open(hash: string): Promise<{ stream: Readable; bytes: number }> {
    const path = this.#path(hash);
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') throw trainingSetUnknown(hash);
      throw error;
    });
    return { stream: createReadStream(path), bytes: found.size };
  }

  #path(hash: string): string {
    return join(this.folder, `${hash}.parquet`);
  }
}

async function writeFile(
  file: FileHandle,
  columns: readonly PlanColumn[],
  batches: AsyncIterable<readonly JoinedRow[]>,
  signal: AbortSignal,
): Promise<Snapshot | undefined> {
  const out = hashingWriter(file);
  const schema = [{ name: 'root', num_children: columns.length }, ...columns.flatMap(schemaOf)];
  const parquet = new ParquetWriter({ writer: out.writer, schema, createdBy: 'headrace feature-store' });
  let rows = 0;
  for await (const batch of batches) {
    signal.throwIfAborted();
    await parquet.write({
      columnData: columns.map((column) => ({ name: column.name, data: valuesOf(column, batch) })),
      rowGroupSize: batch.length,
    });
    rows += batch.length;
  }
  if (rows === 0) return undefined;
  await parquet.finish();
  await file.sync();
  return { rows, ...out.finished() };
}

/** Appends to the file and hashes on the way; the writer hands over what it holds after each row group. */
function hashingWriter(file: FileHandle): { writer: Writer; finished: () => { hash: string; bytes: number } } {
  const hash = createHash('sha256');
  const writer = new ByteWriter(1 << 20);
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const chunk = Buffer.from(writer.buffer, 0, writer.index);
    hash.update(chunk);
    await file.appendFile(chunk);
    bytes += chunk.length;
    writer.index = 0;
  };
  return { writer: Object.assign(writer, { flush, finish: flush }), finished: () => ({ hash: hash.digest('hex'), bytes }) };
}

const PARQUET_TYPES: Readonly<Record<Exclude<PlanColumn['type'], 'embedding'>, BasicType>> = {
  int64: 'INT64',
  float64: 'DOUBLE',
  string: 'STRING',
  bool: 'BOOLEAN',
  timestamp: 'TIMESTAMP',
};

/** An embedding is a LIST of FLOAT in its usual three levels, as pandas and Arrow read it. */
function schemaOf({ name, type, nullable }: PlanColumn): ReturnType<typeof schemaFromColumnData> {
  if (type !== 'embedding') return schemaFromColumnData({ columnData: [{ name, type: PARQUET_TYPES[type], nullable, data: [] }] }).slice(1);
  return [
    { name, repetition_type: nullable ? 'OPTIONAL' : 'REQUIRED', converted_type: 'LIST', num_children: 1 },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
  ];
}

function valuesOf({ type, source }: PlanColumn, rows: readonly JoinedRow[]): unknown[] {
  if (source === '_entity') return rows.map((row) => splitEntityKey(row[source] as string)[0]);
  if (type === 'int64') return rows.map((row) => (row[source] === null ? null : BigInt(row[source] as number)));
  return rows.map((row) => row[source]);
}
