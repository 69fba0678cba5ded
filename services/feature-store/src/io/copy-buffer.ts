const CHUNK_BYTES = 64 * 1024;
/** Room for the last row of a chunk; a longer one grows the buffer. */
const SPARE_BYTES = 16 * 1024;
/** Postgres counts from 2000-01-01. */
export const POSTGRES_EPOCH_MS = 946_684_800_000;
const TWO_32 = 2 ** 32;
const FLOAT4_OID = 700;

/** Values in Postgres' binary COPY format, taken out in chunks. */
export class CopyBuffer {
  private buffer = Buffer.allocUnsafe(CHUNK_BYTES + SPARE_BYTES);
  private at = 0;

  header(): void {
    this.reserve(19);
    this.at += this.buffer.write('PGCOPY\n\xff\r\n\0', this.at, 'latin1');
    this.buffer.fill(0, this.at, this.at + 8);
    this.at += 8;
  }

  int16(value: number): void {
    this.reserve(2);
    this.at = this.buffer.writeInt16BE(value, this.at);
  }

  null(): void {
    this.reserve(4);
    this.at = this.buffer.writeInt32BE(-1, this.at);
  }

  text(value: string): void {
    this.reserve(4 + 3 * value.length);
    const bytes = this.buffer.write(value, this.at + 4);
    this.buffer.writeInt32BE(bytes, this.at);
    this.at += 4 + bytes;
  }

  bool(value: boolean): void {
    this.reserve(5);
    this.at = this.buffer.writeInt32BE(1, this.at);
    this.buffer[this.at++] = value ? 1 : 0;
  }

  float64(value: number): void {
    this.length8();
    this.at = this.buffer.writeDoubleBE(value, this.at);
  }

  /** real[]: dimensions, no nulls, element type, length, lower bound, then each element with its length (array_send in Postgres). */
  float32s(values: readonly number[]): void {
    const bytes = 20 + 8 * values.length;
    this.reserve(4 + bytes);
    for (const header of [bytes, 1, 0, FLOAT4_OID, values.length, 1]) this.at = this.buffer.writeInt32BE(header, this.at);
    for (let i = 0; i < values.length; i++) {
      this.at = this.buffer.writeInt32BE(4, this.at);
      this.at = this.buffer.writeFloatBE(values[i]!, this.at);
    }
  }

  bigint(value: bigint): void {
    this.length8();
    this.at = this.buffer.writeBigInt64BE(value, this.at);
  }

  /** Safe integers only. */
  int64(value: number): void {
    this.length8();
    const high = Math.floor(value / TWO_32);
    this.at = this.buffer.writeInt32BE(high, this.at);
    this.at = this.buffer.writeUInt32BE(value - high * TWO_32, this.at);
  }

  /** Microseconds since 1970, within 285 years of it. */
  timestampUs(us: number): void {
    this.int64(us - POSTGRES_EPOCH_MS * 1000);
  }

  /** Any year from 1 to 9999: microseconds may be beyond 2^53. */
  timestampMs(ms: number): void {
    this.length8();
    this.at = this.buffer.writeBigInt64BE(BigInt(ms - POSTGRES_EPOCH_MS) * 1000n, this.at);
  }

  isFull(): boolean {
    return this.at >= CHUNK_BYTES;
  }

  take(): Buffer {
    const chunk = this.buffer.subarray(0, this.at);
    this.buffer = Buffer.allocUnsafe(CHUNK_BYTES + SPARE_BYTES);
    this.at = 0;
    return chunk;
  }

  private length8(): void {
    this.reserve(12);
    this.at = this.buffer.writeInt32BE(8, this.at);
  }

  private reserve(bytes: number): void {
    if (this.at + bytes > this.buffer.length) this.buffer = Buffer.concat([this.buffer], 2 * (this.at + bytes));
  }
}
