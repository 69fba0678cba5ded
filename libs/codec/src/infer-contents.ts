import { AppError } from '@headrace/base/errors';
import { DELIMITED, FIXED32, FIXED64, VARINT, type ProtoReader } from './reader.js';
import type { ProtoWriter } from './writer.js';

/** `InferTensorContents`: the elements of one tensor, each list in an array of its exact length; absent lists are empty. */
export interface InferContents {
  readonly bools: Uint8Array;
  readonly ints: Int32Array;
  readonly int64s: BigInt64Array;
  readonly uints: Uint32Array;
  readonly uint64s: BigUint64Array;
  readonly floats: Float32Array;
  readonly doubles: Float64Array;
  readonly bytes: readonly Uint8Array[];
}

export const NO_CONTENTS: InferContents = {
  bools: new Uint8Array(0),
  ints: new Int32Array(0),
  int64s: new BigInt64Array(0),
  uints: new Uint32Array(0),
  uint64s: new BigUint64Array(0),
  floats: new Float32Array(0),
  doubles: new Float64Array(0),
  bytes: [],
};

/** Field numbers of the lists. */
const BOOLS = 1;
const INTS = 2;
const INT64S = 3;
const UINTS = 4;
const UINT64S = 5;
const FLOATS = 6;
const DOUBLES = 7;
const BYTES = 8;

/** Wire type of one element of each list, by field number. */
const ELEMENT_WIRE = [-1, VARINT, VARINT, VARINT, VARINT, VARINT, FIXED32, FIXED64, DELIMITED];

/**
 *   contents = { list 1..7: packed, or one element at a time, in any mixture | 0x42 bytes }
 *
 * Walked twice: elements are counted first, so that each list is allocated once and no larger than the message can fill. A varint of one
 * byte may stand for an int64 of eight, so memory is at most eight times the bytes of the message, which its transport bounds.
 */
export function readInferContents(reader: ProtoReader): InferContents {
  const counts = new Uint32Array(9);
  const outer = reader.enter();
  const start = reader.pos;
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) count(reader, tag, counts);
  reader.pos = start;
  const contents = {
    bools: counts[BOOLS]! > 0 ? new Uint8Array(counts[BOOLS]!) : NO_CONTENTS.bools,
    ints: counts[INTS]! > 0 ? new Int32Array(counts[INTS]!) : NO_CONTENTS.ints,
    int64s: counts[INT64S]! > 0 ? new BigInt64Array(counts[INT64S]!) : NO_CONTENTS.int64s,
    uints: counts[UINTS]! > 0 ? new Uint32Array(counts[UINTS]!) : NO_CONTENTS.uints,
    uint64s: counts[UINT64S]! > 0 ? new BigUint64Array(counts[UINT64S]!) : NO_CONTENTS.uint64s,
    floats: counts[FLOATS]! > 0 ? new Float32Array(counts[FLOATS]!) : NO_CONTENTS.floats,
    doubles: counts[DOUBLES]! > 0 ? new Float64Array(counts[DOUBLES]!) : NO_CONTENTS.doubles,
    bytes: counts[BYTES]! > 0 ? [] : NO_CONTENTS.bytes,
  } as const;
  const at = counts.fill(0);
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const field = tag >>> 3;
    const isPacked = (tag & 7) === DELIMITED && field !== BYTES;
    if (field > BYTES || (!isPacked && (tag & 7) !== ELEMENT_WIRE[field])) reader.skip(tag);
    else if (!isPacked) readOne(reader, field, contents, at);
    else if (field === FLOATS) at[FLOATS]! += reader.packedFloats(contents.floats, at[FLOATS]!);
    else {
      const list = reader.enter();
      while (reader.pos < reader.end) readOne(reader, field, contents, at);
      reader.leave(list);
    }
  }
  reader.leave(outer);
  return contents;
}

export function writeInferContents(writer: ProtoWriter, field: number, contents: InferContents): void {
  writer.tag(field, DELIMITED);
  const mark = writer.begin(contents.floats.byteLength + contents.doubles.byteLength + contents.bools.length);
  packed(writer, BOOLS, contents.bools.length, (i) => writer.bool(contents.bools[i] !== 0));
  packed(writer, INTS, contents.ints.length, (i) => writer.int32(contents.ints[i]!));
  packed(writer, INT64S, contents.int64s.length, (i) => writer.int64(contents.int64s[i]!));
  packed(writer, UINTS, contents.uints.length, (i) => writer.uint32(contents.uints[i]!));
  packed(writer, UINT64S, contents.uint64s.length, (i) => writer.int64(contents.uint64s[i]!));
  if (contents.floats.length > 0) {
    writer.tag(FLOATS, DELIMITED);
    writer.packedFloats(contents.floats);
  }
  packed(writer, DOUBLES, contents.doubles.length, (i) => writer.double(contents.doubles[i]!));
  for (const element of contents.bytes) {
    writer.tag(BYTES, DELIMITED);
    writer.delimited(element);
  }
  writer.end(mark);
}

/** Counts the elements of one field and steps over it. */
function count(reader: ProtoReader, tag: number, counts: Uint32Array): void {
  const field = tag >>> 3;
  const wire = tag & 7;
  if (field > BYTES) return reader.skip(tag);
  if (wire === ELEMENT_WIRE[field]) {
    counts[field]!++;
    return reader.skip(tag);
  }
  if (wire !== DELIMITED) return reader.skip(tag);
  const at = reader.pos;
  const length = reader.length();
  if (field === FLOATS || field === DOUBLES) {
    const size = field === FLOATS ? 4 : 8;
    if (length % size !== 0)
      throw new AppError(
        'REQUEST_INVALID',
        `Malformed protobuf at byte ${at}: ${length} bytes are no whole number of ${size}-byte elements.`,
      );
    counts[field]! += length / size;
  } else {
    // Each varint has exactly one byte below 0x80, its last.
    const { bytes, pos } = reader;
    for (let i = pos; i < pos + length; i++) if (bytes[i]! < 0x80) counts[field]!++;
  }
  reader.pos += length;
}

function readOne(reader: ProtoReader, field: number, contents: InferContents, at: Uint32Array): void {
  const index = at[field]!++;
  switch (field) {
    case BOOLS:
      contents.bools[index] = reader.bool() ? 1 : 0;
      return;
    case INTS:
      contents.ints[index] = reader.int32();
      return;
    case INT64S:
      contents.int64s[index] = reader.int64();
      return;
    case UINTS:
      contents.uints[index] = reader.uint32();
      return;
    case UINT64S:
      contents.uint64s[index] = reader.uint64();
      return;
    case FLOATS:
      contents.floats[index] = reader.float();
      return;
    case DOUBLES:
      contents.doubles[index] = reader.double();
      return;
    default:
      (contents.bytes as Uint8Array[]).push(reader.copy());
  }
}

function packed(writer: ProtoWriter, field: number, length: number, write: (index: number) => void): void {
  if (length === 0) return;
  writer.tag(field, DELIMITED);
  const mark = writer.begin(length);
  for (let i = 0; i < length; i++) write(i);
  writer.end(mark);
}
