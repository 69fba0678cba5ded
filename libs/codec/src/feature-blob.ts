import { createHash } from 'node:crypto';
import { assert } from '@headrace/base/assert';

/**
 * What the online store keeps for one (entity, view): one packed value, written by feature-store, read by feature-store and serving.
 *
 *   blob   = format:u8(=1) fingerprint:u32 eventTimeMs:f64 ingestTimeMs:f64 tieBreak:f64 nulls numbers vectors textEnds texts
 *   nulls  = ceil(n/8) bytes, bit i (least significant first) set when feature i is null; spare bits are 0
 *   numbers  = one f64 for each int64, float64, bool (0 or 1) and timestamp (ms) feature, in schema order; 0 when null
 *   vectors  = `dimension` f32 for each embedding feature, in schema order; 0 when null
 *   textEnds = one u32 for each string feature, in schema order: where its text ends, counted from the start of `texts`
 *   texts    = UTF-8, one behind the other
 *
 * Little endian. The fingerprint names the layout (names, types, dimensions and order of the features), so a reader never decodes with the
 * wrong offsets. int64 is exact to 2^53; larger values are refused before they get here. One row replaces another when its
 * (eventTimeMs, ingestTimeMs, tieBreak) is greater: see `compareStamps`.
 */
export const BLOB_FORMAT = 1;
export const BLOB_HEADER_BYTES = 29;

export type BlobType = 'int64' | 'float64' | 'string' | 'bool' | 'timestamp' | 'embedding';

export interface BlobField {
  readonly name: string;
  readonly type: BlobType;
  /** Of an embedding. */
  readonly dimension?: number | undefined;
}

/** A stored value: int64, float64 and timestamp (epoch milliseconds) are numbers; an embedding is a list of 32-bit floats. */
export type FeatureValue = number | string | boolean | readonly number[] | null;

/** Where a row stands among the rows of its entity and view. */
export interface RowStamp {
  readonly eventTimeMs: number;
  /** When the row arrived; may carry microseconds as a fraction. */
  readonly ingestTimeMs: number;
  /** Settles equal times, the same way in both stores: 52 bits of the row's content hash. */
  readonly tieBreak: number;
}

/** Compiled once for a view; immutable. `slots[i]` is the index of feature i among the numbers or texts, or where its vector begins. */
export interface BlobSchema {
  readonly fields: readonly BlobField[];
  readonly fingerprint: number;
  readonly indexOf: ReadonlyMap<string, number>;
  readonly slots: readonly number[];
  readonly numbersAt: number;
  readonly vectorsAt: number;
  readonly textEndsAt: number;
  readonly textsAt: number;
  readonly textCount: number;
}

export function compileBlobSchema(fields: readonly BlobField[]): BlobSchema {
  const slots: number[] = [];
  let numberCount = 0;
  let textCount = 0;
  let vectorBytes = 0;
  for (const { type, dimension } of fields) {
    if (type === 'embedding') {
      assert(dimension !== undefined && dimension > 0, 'an embedding has a dimension');
      slots.push(vectorBytes);
      vectorBytes += 4 * dimension;
    } else slots.push(type === 'string' ? textCount++ : numberCount++);
  }
  const numbersAt = BLOB_HEADER_BYTES + Math.ceil(fields.length / 8);
  const vectorsAt = numbersAt + 8 * numberCount;
  const textEndsAt = vectorsAt + vectorBytes;
  const layout = JSON.stringify(fields.map(({ name, type, dimension }) => (type === 'embedding' ? [name, type, dimension] : [name, type])));
  return {
    fields,
    fingerprint: createHash('sha256').update(layout).digest().readUInt32LE(0),
    indexOf: new Map(fields.map(({ name }, i) => [name, i])),
    slots: slots.map((slot, i) => (fields[i]!.type === 'embedding' ? vectorsAt + slot : slot)),
    numbersAt,
    vectorsAt,
    textEndsAt,
    textsAt: textEndsAt + 4 * textCount,
    textCount,
  };
}

/** @param values in schema order; null, or of the feature's type (the caller has validated the row). */
export function encodeBlob(schema: BlobSchema, values: readonly FeatureValue[], stamp: RowStamp): Buffer {
  assert(values.length === schema.fields.length, 'one value for each feature of the schema');
  let textBytes = 0;
  if (schema.textCount > 0) for (const value of values) if (typeof value === 'string') textBytes += Buffer.byteLength(value);
  // From Node's pool: memory of its own for each blob is the dearest part of writing it. Every byte is written below.
  const blob = Buffer.allocUnsafe(schema.textsAt + textBytes);
  blob.fill(0, BLOB_HEADER_BYTES, schema.numbersAt);
  blob[0] = BLOB_FORMAT;
  blob.writeUInt32LE(schema.fingerprint, 1);
  blob.writeDoubleLE(stamp.eventTimeMs, 5);
  blob.writeDoubleLE(stamp.ingestTimeMs, 13);
  blob.writeDoubleLE(stamp.tieBreak, 21);
  let numberAt = schema.numbersAt;
  let endAt = schema.textEndsAt;
  let end = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const { type, dimension } = schema.fields[i]!;
    if (value === null) blob[BLOB_HEADER_BYTES + (i >> 3)]! |= 1 << (i & 7);
    if (type === 'embedding') {
      const at = schema.slots[i]!;
      if (value === null) blob.fill(0, at, at + 4 * dimension!);
      else writeVector(blob, at, value as readonly number[], dimension!);
    } else if (type === 'string') {
      if (value !== null) end += blob.write(value as string, schema.textsAt + end);
      endAt = blob.writeUInt32LE(end, endAt);
    } else {
      numberAt = blob.writeDoubleLE(value === null ? 0 : Number(value), numberAt);
    }
  }
  return blob;
}

function writeVector(blob: Buffer, at: number, vector: readonly number[], dimension: number): void {
  assert(vector.length === dimension, 'an embedding has as many numbers as its dimension');
  for (let i = 0; i < dimension; i++) blob.writeFloatLE(vector[i]!, at + 4 * i);
}

export type BlobFault = 'none' | 'format' | 'fingerprint' | 'corrupt';

/**
 * Whether the blob may be read with this schema. `fingerprint` = written by another version of the view (fetch the schema again);
 * `format` and `corrupt` = treat the row as missing and count it. Never throws, never allocates.
 */
export function checkBlob(schema: BlobSchema, blob: Buffer): BlobFault {
  if (blob.length < BLOB_HEADER_BYTES) return 'corrupt';
  if (blob[0] !== BLOB_FORMAT) return 'format';
  if (blob.readUInt32LE(1) !== schema.fingerprint) return 'fingerprint';
  if (blob.length < schema.textsAt) return 'corrupt';
  const spare = schema.fields.length & 7;
  if (spare !== 0 && blob[schema.numbersAt - 1]! >> spare !== 0) return 'corrupt';
  let end = 0;
  for (let at = schema.textEndsAt; at < schema.textsAt; at += 4) {
    const next = blob.readUInt32LE(at);
    if (next < end) return 'corrupt';
    end = next;
  }
  return blob.length === schema.textsAt + end ? 'none' : 'corrupt';
}

/** Layout of the writer, for choosing among several known schemas; 0 for what is no blob of this format. */
export function blobFingerprint(blob: Buffer): number {
  return blob.length >= BLOB_HEADER_BYTES && blob[0] === BLOB_FORMAT ? blob.readUInt32LE(1) : 0;
}

export function blobEventTimeMs(blob: Buffer): number {
  return blob.readDoubleLE(5);
}

export function blobStamp(blob: Buffer): RowStamp {
  return { eventTimeMs: blob.readDoubleLE(5), ingestTimeMs: blob.readDoubleLE(13), tieBreak: blob.readDoubleLE(21) };
}

export function isNull(blob: Buffer, index: number): boolean {
  return (blob[BLOB_HEADER_BYTES + (index >> 3)]! & (1 << (index & 7))) !== 0;
}

/**
 * Copies features into a tensor row without allocating. A null number becomes NaN; a string or embedding is left out (read it with
 * `readText` or `readVector`) and its place becomes NaN too. The blob must have passed `checkBlob`.
 * @param indices feature indices in the order wanted (`schema.indexOf`); @param at first place in `out`.
 * @param nulls optional, set to 1 where the value is null and 0 elsewhere, from the same place.
 */
export function decodeNumbersInto(
  schema: BlobSchema,
  blob: Buffer,
  indices: Int32Array,
  out: Float64Array | Float32Array,
  at: number,
  nulls?: Uint8Array,
): void {
  const { fields, slots, numbersAt } = schema;
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!;
    const missing = isNull(blob, index);
    const { type } = fields[index]!;
    const isNumber = type !== 'string' && type !== 'embedding';
    out[at + i] = missing || !isNumber ? Number.NaN : blob.readDoubleLE(numbersAt + 8 * slots[index]!);
    if (nulls) nulls[at + i] = missing ? 1 : 0;
  }
}

/** A string feature, or null. The blob must have passed `checkBlob`. */
export function readText(schema: BlobSchema, blob: Buffer, index: number): string | null {
  if (isNull(blob, index)) return null;
  const endAt = schema.textEndsAt + 4 * schema.slots[index]!;
  const start = endAt === schema.textEndsAt ? 0 : blob.readUInt32LE(endAt - 4);
  return blob.toString('utf8', schema.textsAt + start, schema.textsAt + blob.readUInt32LE(endAt));
}

/** An embedding, or null. The blob must have passed `checkBlob`. */
export function readVector(schema: BlobSchema, blob: Buffer, index: number): number[] | null {
  if (isNull(blob, index)) return null;
  const at = schema.slots[index]!;
  return Array.from({ length: schema.fields[index]!.dimension! }, (_, i) => blob.readFloatLE(at + 4 * i));
}

/** Any feature as a value. The blob must have passed `checkBlob`. */
export function readValue(schema: BlobSchema, blob: Buffer, index: number): FeatureValue {
  const { type } = schema.fields[index]!;
  if (type === 'string') return readText(schema, blob, index);
  if (type === 'embedding') return readVector(schema, blob, index);
  if (isNull(blob, index)) return null;
  const number = blob.readDoubleLE(schema.numbersAt + 8 * schema.slots[index]!);
  return type === 'bool' ? number !== 0 : number;
}

/**
 * A header alone, of no layout: stands for a while where an erased entity stood, so that no writer that is still under way brings an older
 * row back. It reads as missing.
 */
export function encodeErased(eventTimeMs: number): Buffer {
  const blob = Buffer.alloc(BLOB_HEADER_BYTES);
  blob[0] = BLOB_FORMAT;
  blob.writeDoubleLE(eventTimeMs, 5);
  blob.writeDoubleLE(Infinity, 13);
  blob.writeDoubleLE(Infinity, 21);
  return blob;
}

export function isErased(blob: Buffer): boolean {
  return blob.length === BLOB_HEADER_BYTES;
}

/** Positive when `a` replaces `b`. The Lua of the online store and the ORDER BY of the offline store say the same. */
export function compareStamps(a: RowStamp, b: RowStamp): number {
  return a.eventTimeMs - b.eventTimeMs || a.ingestTimeMs - b.ingestTimeMs || a.tieBreak - b.tieBreak;
}
