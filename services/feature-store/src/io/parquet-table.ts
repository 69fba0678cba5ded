import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, zstdCompress } from 'node:zlib';
import type { PlanColumn } from '../domain/point-in-time-plan.js';
import { parquetColumn, type ParquetColumn } from './parquet-column.js';
import { encodeThrift, i32, i64, list, struct, text, type ThriftValue } from './parquet-thrift.js';

/** Where the bytes go: a file, or a stream. */
export interface ByteSink {
  appendFile(bytes: Buffer): Promise<unknown>;
  sync(): Promise<unknown>;
}

/** A row group is closed at either bound: the memory of a table that is being written. */
export const ROW_GROUP_ROWS = 100_000;
const ROW_GROUP_BYTES = 64 * 1024 * 1024;

/**
 * Writes Parquet from rows in Postgres' binary form: one page a column and row group, PLAIN, Zstandard level 1. Equal rows give
 * equal bytes. The values need no decoding into JavaScript on their way.
 */
export class ParquetTable {
  readonly #file: ByteSink;
  readonly #columns: readonly PlanColumn[];
  readonly #buffers: readonly ParquetColumn[];
  readonly #hash = createHash('sha256');
  readonly #groups: ThriftValue[] = [];
  #bytes = 0;
  #rows = 0;
  #groupRows = 0;
  #groupBytes = 0;

  constructor(file: ByteSink, columns: readonly PlanColumn[]) {
    this.#file = file;
    this.#columns = columns;
    this.#buffers = columns.map(parquetColumn);
  }

  get rows(): number {
    return this.#rows;
  }

  /** @param tuple a row of COPY's binary form: for each column its length (-1 = null), then its bytes. */
  appendRow(source: Buffer, tuple: number): void {
    let at = tuple;
    for (const column of this.#buffers) {
      const length = source.readInt32BE(at);
      at += 4;
      if (length < 0) column.appendNull();
      else {
        column.append(source, at, length);
        at += length;
      }
    }
    this.#rows++;
    this.#groupRows++;
    this.#groupBytes += at - tuple;
  }

  get isFull(): boolean {
    return this.#groupRows >= ROW_GROUP_ROWS || this.#groupBytes >= ROW_GROUP_BYTES;
  }

  async finish(): Promise<{ hash: string; rows: number; bytes: number }> {
    if (this.#groupRows > 0) await this.flush();
    if (this.#bytes === 0) await this.#write(MAGIC);
    const footer = encodeThrift([
      [1, i32(2)],
      [2, list([struct([4, text('schema')], [5, i32(this.#columns.length)]), ...this.#columns.flatMap(schemaElements)])],
      [3, i64(this.#rows)],
      [4, list(this.#groups)],
      [6, text('headrace feature-store')],
    ]);
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32LE(footer.length);
    await this.#write(Buffer.concat([footer, length, MAGIC]));
    await this.#file.sync();
    return { hash: this.#hash.digest('hex'), rows: this.#rows, bytes: this.#bytes };
  }

  /** Writes the row group. */
  async flush(): Promise<void> {
    if (this.#bytes === 0) await this.#write(MAGIC);
    const rows = this.#groupRows;
    this.#groupRows = 0;
    this.#groupBytes = 0;
    const chunks: ThriftValue[] = [];
    let total = 0;
    for (const [i, column] of this.#columns.entries()) {
      const { body, nulls, entries } = this.#buffers[i]!.takePage();
      const packed = await compress(body, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
      const header = encodeThrift([
        [1, i32(DATA_PAGE)],
        [2, i32(body.length)],
        [3, i32(packed.length)],
        [5, struct([1, i32(entries)], [2, i32(PLAIN)], [3, i32(RLE)], [4, i32(RLE)])],
      ]);
      const offset = this.#bytes;
      await this.#write(header);
      await this.#write(packed);
      const unpacked = header.length + body.length;
      total += unpacked;
      chunks.push(
        struct(
          [2, i64(offset)],
          [
            3,
            struct(
              [1, i32(PHYSICAL[column.type])],
              [2, list([i32(PLAIN), i32(RLE)])],
              [3, list(pathOf(column).map(text))],
              [4, i32(ZSTD)],
              [5, i64(entries)],
              [6, i64(unpacked)],
              [7, i64(this.#bytes - offset)],
              [9, i64(offset)],
              [12, struct([3, i64(nulls)])],
            ),
          ],
        ),
      );
    }
    this.#groups.push(struct([1, list(chunks)], [2, i64(total)], [3, i64(rows)]));
  }

  async #write(bytes: Buffer): Promise<void> {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
    await this.#file.appendFile(bytes);
  }
}

const compress = promisify(zstdCompress);
const MAGIC = Buffer.from('PAR1');

// Enum values of parquet.thrift.
const DATA_PAGE = 0;
const PLAIN = 0;
const RLE = 3;
const ZSTD = 6;
const PHYSICAL: Readonly<Record<PlanColumn['type'], number>> = { bool: 0, int64: 2, timestamp: 2, embedding: 4, float64: 5, string: 6 };
const REQUIRED = 0;
const OPTIONAL = 1;
const REPEATED = 2;
const UTF8 = 0;
const LIST = 3;
const TIMESTAMP_MICROS = 10;

function pathOf({ name, type }: PlanColumn): string[] {
  return type === 'embedding' ? [name, 'list', 'element'] : [name];
}

/** An embedding is a LIST in its usual three levels, as pandas and Arrow read it. */
function schemaElements({ name, type, nullable }: PlanColumn): ThriftValue[] {
  const repetition = i32(nullable ? OPTIONAL : REQUIRED);
  if (type === 'embedding')
    return [
      struct([3, repetition], [4, text(name)], [5, i32(1)], [6, i32(LIST)]),
      struct([3, i32(REPEATED)], [4, text('list')], [5, i32(1)]),
      struct([1, i32(PHYSICAL.embedding)], [3, i32(REQUIRED)], [4, text('element')]),
    ];
  const converted = type === 'string' ? UTF8 : type === 'timestamp' ? TIMESTAMP_MICROS : undefined;
  return [
    struct(
      [1, i32(PHYSICAL[type])],
      [3, repetition],
      [4, text(name)],
      ...(converted === undefined ? [] : ([[6, i32(converted)]] as const)),
    ),
  ];
}
