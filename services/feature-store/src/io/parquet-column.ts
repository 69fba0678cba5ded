import { POSTGRES_EPOCH_MS } from './copy-buffer.js';
import type { PlanColumn } from '../domain/point-in-time-plan.js';
import { varint } from './parquet-thrift.js';

/** One column of one row group in the making. */
export interface ParquetColumn {
  appendNull(): void;
  /** @param source holds the value in Postgres' binary form at `offset`. */
  append(source: Buffer, offset: number, length: number): void;
  /** The page's body: levels where they are needed, then the values. Empties the column. @returns `entries`: values and nulls. */
  takePage(): { body: Buffer; nulls: number; entries: number };
}

export function parquetColumn({ type, nullable }: Pick<PlanColumn, 'type' | 'nullable'>): ParquetColumn {
  return type === 'embedding' ? new ParquetListColumn(nullable) : new ParquetValueColumn(type, nullable);
}

/**
 * Values of one column of one row group, taken from Postgres' binary form byte by byte and kept as Parquet's PLAIN encoding, so no value
 * becomes a JavaScript object on its way (documentation of Parquet, "Encodings").
 */
class ParquetValueColumn implements ParquetColumn {
  readonly #type: Exclude<PlanColumn['type'], 'embedding'>;
  readonly #nullable: boolean;
  #values = Buffer.allocUnsafe(1 << 16);
  #at = 0;
  /** One bit for each row: 1 = not null. */
  #defined = new Uint8Array(1 << 12);
  #rows = 0;
  #present = 0;

  constructor(type: Exclude<PlanColumn['type'], 'embedding'>, nullable: boolean) {
    this.#type = type;
    this.#nullable = nullable;
  }

  appendNull(): void {
    this.#row(0);
  }

  append(source: Buffer, offset: number, length: number): void {
    this.#row(1);
    switch (this.#type) {
      case 'int64':
      case 'float64':
        this.#reserve(8);
        for (let i = 7; i >= 0; i--) this.#values[this.#at++] = source[offset + i]!;
        return;
      case 'timestamp':
        this.#reserve(8);
        this.#at = this.#values.writeBigInt64LE(source.readBigInt64BE(offset) + POSTGRES_EPOCH_US, this.#at);
        return;
      case 'string':
        this.#reserve(4 + length);
        this.#at = this.#values.writeUInt32LE(length, this.#at);
        this.#at += source.copy(this.#values, this.#at, offset, offset + length);
        return;
      case 'bool': {
        const bit = this.#present - 1;
        if ((bit & 7) === 0) {
          this.#reserve(1);
          this.#values[this.#at++] = 0;
        }
        this.#values[bit >> 3]! |= source[offset]! << (bit & 7);
      }
    }
  }

  takePage(): { body: Buffer; nulls: number; entries: number } {
    const entries = this.#rows;
    const nulls = this.#rows - this.#present;
    const values = this.#values.subarray(0, this.#at);
    const body = Buffer.concat(this.#nullable ? [this.#levels(nulls), values] : [values]);
    this.#at = 0;
    this.#rows = 0;
    this.#present = 0;
    return { body, nulls, entries };
  }

  /** RLE / bit-packed hybrid of width 1, behind its length. */
  #levels(nulls: number): Buffer {
    if (nulls === 0) return behindLength([runOf(this.#rows, 1)]);
    const bytes = Math.ceil(this.#rows / 8);
    return behindLength([varint((bytes << 1) | 1), this.#defined.subarray(0, bytes)]);
  }

  #row(defined: 0 | 1): void {
    const byte = this.#rows >> 3;
    if (byte >= this.#defined.length) {
      const grown = new Uint8Array(2 * this.#defined.length);
      grown.set(this.#defined);
      this.#defined = grown;
    }
    const bit = this.#rows & 7;
    this.#defined[byte] = (bit === 0 ? 0 : this.#defined[byte]!) | (defined << bit);
    this.#rows++;
    this.#present += defined;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#values.length) return;
    const grown = Buffer.allocUnsafe(2 * (this.#at + bytes));
    this.#values.copy(grown, 0, 0, this.#at);
    this.#values = grown;
  }
}

/** real[] of Postgres as a LIST of FLOAT; the levels say where a list begins and whether it is there (documentation, "Nested Encoding"). */
class ParquetListColumn implements ParquetColumn {
  readonly #nullable: boolean;
  #values: Buffer[] = [];
  #repetition: Buffer[] = [];
  #definition: Buffer[] = [];
  #nulls = 0;
  #entries = 0;

  constructor(nullable: boolean) {
    this.#nullable = nullable;
  }

  appendNull(): void {
    this.#nulls++;
    this.#entries++;
    this.#repetition.push(runOf(1, 0));
    this.#definition.push(runOf(1, 0));
  }

  append(source: Buffer, offset: number, length: number): void {
    // One dimension without nulls behind a head of 20 bytes, each element with its length.
    const count = (length - 20) / 8;
    const values = Buffer.allocUnsafe(4 * count);
    for (let i = 0; i < count; i++) values.writeUInt32LE(source.readUInt32BE(offset + 24 + 8 * i), 4 * i);
    this.#values.push(values);
    this.#entries += count;
    this.#repetition.push(runOf(1, 0));
    if (count > 1) this.#repetition.push(runOf(count - 1, 1));
    this.#definition.push(runOf(count, this.#nullable ? 2 : 1));
  }

  takePage(): { body: Buffer; nulls: number; entries: number } {
    const page = {
      body: Buffer.concat([behindLength(this.#repetition), behindLength(this.#definition), ...this.#values]),
      nulls: this.#nulls,
      entries: this.#entries,
    };
    this.#values = [];
    this.#repetition = [];
    this.#definition = [];
    this.#nulls = 0;
    this.#entries = 0;
    return page;
  }
}

/** A run of the RLE / bit-packed hybrid, for values of at most 8 bits. */
function runOf(count: number, value: number): Buffer {
  return Buffer.concat([varint(count * 2), Buffer.of(value)]);
}

function behindLength(parts: readonly Uint8Array[]): Buffer {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(parts.reduce((sum, part) => sum + part.length, 0));
  return Buffer.concat([length, ...parts]);
}

const POSTGRES_EPOCH_US = BigInt(POSTGRES_EPOCH_MS) * 1000n;
