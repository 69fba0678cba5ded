import { AppError } from '@headrace/base/errors';
import { copyBytes } from './copy-bytes.js';
import { checkUtf8Text } from './utf8.js';

/** Wire types of the protobuf encoding (protobuf.dev/programming-guides/encoding). 3 and 4 are the retired groups. */
export const VARINT = 0;
export const FIXED64 = 1;
export const DELIMITED = 2;
export const START_GROUP = 3;
export const END_GROUP = 4;
export const FIXED32 = 5;

/** Nesting that any protobuf implementation must accept, and the most that we follow: a deeper message is an attack. */
export const DEPTH_MAX = 100;
/** A 64-bit varint has at most ten bytes. */
const VARINT_BYTES_MAX = 10;
/** Up to this many floats are moved by a loop over words: for 30 it beats the call into the runtime's memory copy (measured); where the two meet was not measured. */
const COPY_BY_LOOP_MAX = 48;

/**
 * Reads one protobuf message in place, inside `[start, end)` of any buffer. Every length is checked against what is left before
 * anything is read or allocated, so hostile bytes cost at most their own size. Reusable: `reset` for each message; numbers,
 * skips and packed floats allocate nothing. Throws `AppError` REQUEST_INVALID, which leaves the reader unusable until `reset`.
 *
 * The usual loop, which also is how a nested message is read:
 *   const outer = reader.enter();                 // only for a nested message
 *   for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) switch (tag) { case 0x0a: ...; default: reader.skip(tag); }
 *   reader.leave(outer);
 */
export class ProtoReader {
  bytes: Uint8Array = EMPTY;
  /** Next byte to read. */
  pos = 0;
  /** First byte behind the message that is being read now. */
  end = 0;
  private depth = 0;
  /** The last varint as two halves; `varint()` fills them. */
  private low = 0;
  private high = 0;
  private readonly groupStack = new Int32Array(DEPTH_MAX);
  /** Of the bytes that floats were last read from: a buffer that sockets share stays the same. */
  private data: DataView = new DataView(new ArrayBuffer(0));
  private viewed: Uint8Array | undefined;
  private floatTarget: Float32Array = NO_FLOATS;
  private floatTargetBytes: Uint8Array | undefined;
  private floatTargetInts: Int32Array = new Int32Array(0);

  constructor(bytes: Uint8Array = EMPTY, start = 0, end = bytes.length) {
    this.reset(bytes, start, end);
  }

  reset(bytes: Uint8Array, start = 0, end = bytes.length): this {
    this.bytes = bytes;
    this.pos = start;
    this.end = end;
    this.depth = 0;
    return this;
  }

  /** The next field's tag (field number << 3 | wire type), or 0 at the end of the message. */
  tag(): number {
    const pos = this.pos;
    if (pos >= this.end) return 0;
    const first = this.bytes[pos]!;
    let tag = first;
    if (first < 0x80) this.pos = pos + 1;
    else {
      this.varint();
      if (this.high !== 0) throw malformed('field number above 2^29-1', pos);
      tag = this.low;
    }
    const wireType = tag & 7;
    if (tag >>> 3 === 0) throw malformed('field number 0', pos);
    if (wireType > FIXED32) throw malformed(`wire type ${wireType}`, pos);
    if (wireType === END_GROUP) throw malformed('end of a group that did not start', pos);
    return tag;
  }

  /** Starts a nested message; give the returned outer end back to `leave`. */
  enter(): number {
    const length = this.length();
    if (++this.depth > DEPTH_MAX) throw malformed(`nesting deeper than ${DEPTH_MAX}`, this.pos);
    const outerEnd = this.end;
    this.end = this.pos + length;
    return outerEnd;
  }

  leave(outerEnd: number): void {
    this.pos = this.end;
    this.end = outerEnd;
    this.depth--;
  }

  /** Reads the length of a delimited field; on return `pos` stands at its first byte and that many bytes are there. */
  length(): number {
    const at = this.pos;
    const first = at < this.end ? this.bytes[at]! : 0x80;
    let length = first;
    if (first < 0x80) this.pos = at + 1;
    else {
      this.varint();
      length = this.high === 0 ? this.low : Infinity;
    }
    if (length > this.end - this.pos) throw malformed(`length ${length} with ${this.end - this.pos} bytes left`, at);
    return length;
  }

  uint32(): number {
    this.varint();
    return this.low;
  }

  int32(): number {
    this.varint();
    return this.low | 0;
  }

  sint32(): number {
    this.varint();
    return (this.low >>> 1) ^ -(this.low & 1);
  }

  bool(): boolean {
    this.varint();
    return (this.low | this.high) !== 0;
  }

  uint64(): bigint {
    this.varint();
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }

  int64(): bigint {
    this.varint();
    return (BigInt(this.high | 0) << 32n) | BigInt(this.low);
  }

  sint64(): bigint {
    const zigzag = this.uint64();
    return (zigzag >> 1n) ^ -(zigzag & 1n);
  }

  /** An int64 as a number without a bigint; refuses what a double cannot hold exactly. */
  int64Number(): number {
    const at = this.pos;
    this.varint();
    const value = (this.high | 0) * TWO_32 + this.low;
    if (!Number.isSafeInteger(value)) throw malformed('integer beyond 2^53', at);
    return value;
  }

  fixed32(): number {
    return this.fixed32Bits() >>> 0;
  }

  sfixed32(): number {
    return this.fixed32Bits();
  }

  fixed64(): bigint {
    const low = this.fixed32Bits() >>> 0;
    return (BigInt(this.fixed32Bits() >>> 0) << 32n) | BigInt(low);
  }

  sfixed64(): bigint {
    return BigInt.asIntN(64, this.fixed64());
  }

  float(): number {
    scratchInts[0] = this.fixed32Bits();
    return scratchFloats[0]!;
  }

  double(): number {
    if (this.end - this.pos < 8) throw truncated(this.pos);
    scratchInts[0] = this.fixed32Bits();
    scratchInts[1] = this.fixed32Bits();
    return scratchDoubles[0]!;
  }

  /** Valid UTF-8 only. */
  string(): string {
    const length = this.length();
    const start = this.pos;
    this.pos = start + length;
    return checkUtf8Text(this.bytes, start, this.pos) ?? refuseUtf8(start);
  }

  /** A view of the delimited bytes, not a copy: it lives as long as the buffer's content does. */
  view(): Uint8Array {
    const length = this.length();
    const start = this.pos;
    this.pos = start + length;
    return this.bytes.subarray(start, this.pos);
  }

  /** The delimited bytes in memory of their own, from its first byte on. */
  copy(): Uint8Array {
    const length = this.length();
    const start = this.pos;
    this.pos = start + length;
    const target = new Uint8Array(length);
    copyBytes(this.bytes, start, this.pos, target, 0);
    return target;
  }

  /**
   * Copies the floats of a packed field to `target[at...]` and returns how many; `countMax` bounds them before the copy. Little-endian
   * hosts only, like all that Node runs on. The byte view of the last target is kept, so that a reused batch tensor costs nothing.
   */
  packedFloats(target: Float32Array, at: number, countMax: number = target.length - at): number {
    const tagAt = this.pos;
    const length = this.length();
    const count = length >>> 2;
    if ((length & 3) !== 0) throw malformed(`packed floats of ${length} bytes`, tagAt);
    if (count > countMax || count > target.length - at)
      throw malformed(`${count} floats where at most ${Math.min(countMax, target.length - at)} fit`, tagAt);
    if (target !== this.floatTarget) this.rememberFloatTarget(target);
    const start = this.pos;
    this.pos = start + length;
    if (count > COPY_BY_LOOP_MAX) copyBytes(this.bytes, start, this.pos, (this.floatTargetBytes ??= bytesOf(target)), at * 4);
    else {
      if (this.bytes !== this.viewed) this.rememberData();
      const { data, floatTargetInts } = this;
      for (let i = 0, p = start; i < count; i++, p += 4) floatTargetInts[at + i] = data.getInt32(p, true);
    }
    return count;
  }

  /** Skips the value of a field that the caller does not know; groups without recursion. */
  skip(tag: number): void {
    const wireType = tag & 7;
    if (wireType === VARINT) this.skipVarint();
    else if (wireType === DELIMITED) this.advance(this.length());
    else if (wireType === FIXED32) this.advance(4);
    else if (wireType === FIXED64) this.advance(8);
    else this.skipGroup(tag >>> 3);
  }

  private skipGroup(field: number): void {
    let open = 0;
    this.groupStack[open++] = field;
    while (open > 0) {
      const at = this.pos;
      if (at >= this.end) throw truncated(at);
      this.varint();
      const inner = this.low;
      if (this.high !== 0 || inner >>> 3 === 0) throw malformed('field number', at);
      const wireType = inner & 7;
      if (wireType === START_GROUP) {
        if (this.depth + open >= DEPTH_MAX) throw malformed(`nesting deeper than ${DEPTH_MAX}`, at);
        this.groupStack[open++] = inner >>> 3;
      } else if (wireType === END_GROUP) {
        if (this.groupStack[--open] !== inner >>> 3) throw malformed('end of another group', at);
      } else if (wireType > FIXED32) throw malformed(`wire type ${wireType}`, at);
      else this.skip(inner);
    }
  }

  private skipVarint(): void {
    const { bytes, end } = this;
    const limit = Math.min(end, this.pos + VARINT_BYTES_MAX);
    for (let pos = this.pos; pos < limit; pos++) {
      if (bytes[pos]! < 0x80) {
        this.pos = pos + 1;
        return;
      }
    }
    throw limit === end ? truncated(end) : malformed('varint longer than ten bytes', this.pos);
  }

  /** Reads a varint of at most ten bytes into `low` and `high`; bits above 64 are dropped, as every implementation does. */
  private varint(): void {
    const { bytes, end } = this;
    let pos = this.pos;
    let byte = 0;
    let low = 0;
    let high = 0;
    let shift = 0;
    for (; shift < 28; shift += 7) {
      if (pos >= end) throw truncated(pos);
      byte = bytes[pos++]!;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.pos = pos;
        this.low = low >>> 0;
        this.high = 0;
        return;
      }
    }
    if (pos >= end) throw truncated(pos);
    byte = bytes[pos++]!;
    low |= (byte & 0x0f) << 28;
    high = (byte & 0x7f) >>> 4;
    for (shift = 3; byte >= 0x80; shift += 7) {
      if (pos >= end) throw truncated(pos);
      if (shift > 31) throw malformed('varint longer than ten bytes', this.pos);
      byte = bytes[pos++]!;
      high |= (byte & 0x7f) << shift;
    }
    this.pos = pos;
    this.low = low >>> 0;
    this.high = high >>> 0;
  }

  private fixed32Bits(): number {
    const { bytes, pos } = this;
    if (this.end - pos < 4) throw truncated(pos);
    this.pos = pos + 4;
    return bytes[pos]! | (bytes[pos + 1]! << 8) | (bytes[pos + 2]! << 16) | (bytes[pos + 3]! << 24);
  }

  private advance(count: number): void {
    if (this.end - this.pos < count) throw truncated(this.pos);
    this.pos += count;
  }

  private rememberFloatTarget(target: Float32Array): void {
    this.floatTarget = target;
    this.floatTargetBytes = undefined;
    this.floatTargetInts = new Int32Array(target.buffer, target.byteOffset, target.length);
  }

  private rememberData(): void {
    const { bytes } = this;
    this.viewed = bytes;
    this.data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

function bytesOf(floats: Float32Array): Uint8Array {
  return new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
}

const EMPTY = new Uint8Array(0);
const NO_FLOATS = new Float32Array(0);
const TWO_32 = 4_294_967_296;
const scratchDoubles = new Float64Array(1);
const scratchFloats = new Float32Array(scratchDoubles.buffer);
const scratchInts = new Int32Array(scratchDoubles.buffer);

function malformed(what: string, at: number): AppError {
  return new AppError('REQUEST_INVALID', `Malformed protobuf at byte ${at}: ${what}.`);
}

function truncated(at: number): AppError {
  return malformed('the message ends in the middle of a field', at);
}

function refuseUtf8(at: number): never {
  throw malformed('text that is not UTF-8', at);
}
