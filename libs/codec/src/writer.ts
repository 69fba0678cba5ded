import { assert, AssertionFailed } from '@headrace/base/assert';
import { copyBytes } from './copy-bytes.js';
import type { ShortBytes } from './short-bytes.js';

/** Capacity that a fresh writer starts with, in bytes; it doubles when it is full. */
const CAPACITY_START = 1024;
/** Field lengths of 1 to 5 bytes; a message above 2 GiB cannot exist in protobuf. */
const LENGTH_MAX = 0x7fff_ffff;

/**
 * Appends protobuf fields to one growing buffer; `bytes.subarray(0, pos)` is what was written. Nested messages are written in one pass:
 * `begin` leaves room for the length, `end` fills it in, and moves the content only when the guess of its size was too small.
 * Nothing is allocated once the buffer has grown to the size of the traffic.
 */
export class ProtoWriter {
  bytes: Buffer;
  /** The same memory, for numbers of several bytes. */
  view: DataView;
  pos = 0;

  constructor(capacityBytes: number = CAPACITY_START) {
    this.bytes = Buffer.allocUnsafeSlow(capacityBytes);
    this.view = viewOf(this.bytes);
  }

  reset(): this {
    this.pos = 0;
    return this;
  }

  /** A copy of what was written, for callers that keep it. */
  finish(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.bytes, 0, this.pos);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.pos + count;
    if (needed > this.bytes.length) this.grow(needed);
  }

  tag(field: number, wireType: number): void {
    this.uint32(((field << 3) | wireType) >>> 0);
  }

  uint32(value: number): void {
    this.reserve(5);
    const bytes = this.bytes;
    let pos = this.pos;
    let rest = value >>> 0;
    while (rest > 0x7f) {
      bytes[pos++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[pos++] = rest;
    this.pos = pos;
  }

  /** Negative numbers take ten bytes, as in every protobuf implementation. */
  int32(value: number): void {
    if (value >= 0) this.uint32(value);
    else this.varint64(value >>> 0, 0xffff_ffff);
  }

  sint32(value: number): void {
    this.uint32((value << 1) ^ (value >> 31));
  }

  bool(value: boolean): void {
    this.reserve(1);
    this.bytes[this.pos++] = value ? 1 : 0;
  }

  /** A safe integer or a bigint; int64 and uint64 have the same bits. */
  int64(value: number | bigint): void {
    if (typeof value === 'bigint') {
      const bits = BigInt.asUintN(64, value);
      this.varint64(Number(bits & 0xffff_ffffn), Number(bits >> 32n));
      return;
    }
    // Not by `assert`, whose text would be made for each number.
    if (!Number.isSafeInteger(value)) throw new AssertionFailed(`an integer that a double holds exactly, got ${value}`);
    if (value >= 0 && value <= 0xffff_ffff) this.uint32(value);
    else this.varint64(value >>> 0, Math.floor(value / TWO_32) >>> 0);
  }

  sint64(value: bigint): void {
    this.int64((value << 1n) ^ (value >> 63n));
  }

  fixed32(value: number): void {
    this.reserve(4);
    this.view.setUint32(this.pos, value, true);
    this.pos += 4;
  }

  fixed64(value: bigint): void {
    const bits = BigInt.asUintN(64, value);
    this.fixed32(Number(bits & 0xffff_ffffn));
    this.fixed32(Number(bits >> 32n));
  }

  float(value: number): void {
    this.reserve(4);
    this.view.setFloat32(this.pos, value, true);
    this.pos += 4;
  }

  double(value: number): void {
    this.reserve(8);
    this.view.setFloat64(this.pos, value, true);
    this.pos += 8;
  }

  /** Length and UTF-8 bytes; a lone surrogate becomes U+FFFD. */
  string(value: string): void {
    const length = value.length;
    this.reserve(length * 3 + 5);
    if (length < 128) {
      const start = this.pos + 1;
      const written = this.shortAscii(value, start);
      if (written) {
        this.bytes[this.pos] = length;
        this.pos = start + length;
        return;
      }
    }
    const mark = this.begin(length);
    this.utf8(value);
    this.end(mark);
  }

  /** As `string`, without the length. */
  utf8(value: string): this {
    this.reserve(value.length * 3);
    this.pos += this.bytes.write(value, this.pos, 'utf8');
    return this;
  }

  /** Length and content of `value[start, end)`. */
  delimited(value: Uint8Array, start = 0, end = value.length): void {
    this.uint32(end - start);
    this.raw(value, start, end);
  }

  /** The bytes themselves, without a length. */
  raw(value: Uint8Array, start = 0, end = value.length): void {
    const count = end - start;
    this.reserve(count);
    if (count < 24) for (let i = 0; i < count; i++) this.bytes[this.pos + i] = value[start + i]!;
    else copyBytes(value, start, end, this.bytes, this.pos);
    this.pos += count;
  }

  /** Length and floats of a packed field; the caller wrote the tag. */
  packedFloats(floats: Float32Array, from = 0, count: number = floats.length - from): void {
    this.uint32(count * 4);
    this.reserve(count * 4);
    if (count > 12) {
      this.bytes.set(new Uint8Array(floats.buffer, floats.byteOffset + from * 4, count * 4), this.pos);
      this.pos += count * 4;
      return;
    }
    // Not by `float`: a double that is handed over as an argument may be boxed.
    const { view } = this;
    for (let i = from; i < from + count; i++, this.pos += 4) view.setFloat32(this.pos, floats[i]!, true);
  }

  /** Length and content. */
  delimitedShort(value: ShortBytes): void {
    this.uint32(value.length);
    this.rawShort(value);
  }

  /** The bytes themselves, without a length, word by word: for some dozen bytes a call of native code costs more. */
  rawShort({ words, length }: ShortBytes): void {
    this.reserve(length + 3);
    const { view, pos } = this;
    for (let i = 0; i < length; i += 4) view.setInt32(pos + i, words[i >> 2]!, IS_LITTLE_ENDIAN);
    this.pos = pos + length;
  }

  /** Starts a delimited field behind its tag; `expectedBytes` is the guess that saves moving the content later. */
  begin(expectedBytes = 0): number {
    const room = lengthSize(expectedBytes);
    this.reserve(room);
    const mark = this.pos * 8 + room;
    this.pos += room;
    return mark;
  }

  end(mark: number): void {
    const room = mark % 8;
    const lengthAt = (mark - room) / 8;
    const start = lengthAt + room;
    const length = this.pos - start;
    const size = lengthSize(length);
    if (size !== room) {
      this.reserve(size);
      this.bytes.copyWithin(lengthAt + size, start, this.pos);
    }
    this.pos = lengthAt;
    this.uint32(length);
    this.pos = lengthAt + size + length;
  }

  private shortAscii(value: string, at: number): boolean {
    const bytes = this.bytes;
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return false;
      bytes[at + i] = code;
    }
    return true;
  }

  private varint64(low: number, high: number): void {
    this.reserve(10);
    const bytes = this.bytes;
    let pos = this.pos;
    while (high !== 0 || low > 0x7f) {
      bytes[pos++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    bytes[pos++] = low;
    this.pos = pos;
  }

  private grow(needed: number): void {
    assert(needed <= LENGTH_MAX, `a message below 2 GiB, got ${needed} bytes`);
    const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(needed, this.bytes.length * 2), LENGTH_MAX));
    this.bytes.copy(larger, 0, 0, this.pos);
    this.bytes = larger;
    this.view = viewOf(larger);
  }
}

const TWO_32 = 4_294_967_296;
/** Of this processor: words are written in the order in which their bytes lie in memory. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function lengthSize(length: number): number {
  if (length < 0x80) return 1;
  if (length < 0x4000) return 2;
  if (length < 0x20_0000) return 3;
  return length < 0x1000_0000 ? 4 : 5;
}
