import { BLOB_HEADER_BYTES, readText, type BlobSchema } from './feature-blob.js';
import { DELIMITED } from './reader.js';
import { ProtoWriter } from './writer.js';

/**
 * headrace.features.v1.GetOnlineFeaturesResponse on the wire, written without an object for each value:
 *
 *   response = (0x0a vector)* (0x12 name:string)*
 *   vector   = len (0x0a value)* 0x12 statuses:packed (0x1a time)*
 *   value    = 0a 02 08 00 (null) | 0a 09 11 f64 (number) | 0a 02 20 bool | 0a len 1a len text
 *   time     = 1a len 08 seconds:varint 10 nanos:varint (of the Unix epoch: 1a 00)
 */

/** FieldStatus of the contract. */
export const PRESENT = 1;
export const NULL_VALUE = 2;
export const NOT_FOUND = 3;
export const OUTSIDE_MAX_AGE = 4;

/** Where the wanted features of one view stand in one of its layouts, by their place in the answer; compiled once for many blobs. */
export interface FoundColumns {
  readonly layout: BlobSchema;
  /** -1 = of another view, or newer than the layout, so null. */
  readonly indices: Int32Array;
  readonly kinds: Uint8Array;
  /** Of numbers: from the start of the blob, in bytes. */
  readonly offsets: Int32Array;
}

const NUMBER = 0;
const BOOL = 1;
const TEXT = 2;

/** No embeddings: the answer would be a list, which is left to the generated code. */
export function compileColumns(layout: BlobSchema, indices: Int32Array): FoundColumns {
  const typeOf = (index: number): string | undefined => layout.fields[index]?.type;
  return {
    layout,
    indices,
    kinds: Uint8Array.from(indices, (index) => (typeOf(index) === 'string' ? TEXT : typeOf(index) === 'bool' ? BOOL : NUMBER)),
    offsets: Int32Array.from(indices, (index) => (index < 0 ? 0 : layout.numbersAt + 8 * layout.slots[index]!)),
  };
}

/** What was found of one view for one entity; reused from entity to entity. */
export interface FoundRow {
  /** undefined = nothing can be shown, and `status` says why. */
  columns: FoundColumns | undefined;
  blob: Buffer | undefined;
  status: typeof PRESENT | typeof NOT_FOUND | typeof OUTSIDE_MAX_AGE;
  eventTimeMs: number;
}

/** Room for the statuses of one vector; a longer one grows it. */
let statuses = Buffer.alloc(1024);

/**
 * Appends one vector. @param viewOf for each wanted feature the index of its view in `found`.
 * @param counts by status, added to.
 */
export function writeOnlineVector(viewOf: Int32Array, found: readonly FoundRow[], writer: ProtoWriter, counts: Uint32Array): void {
  const count = viewOf.length;
  if (count > statuses.length) statuses = Buffer.alloc(2 * count);
  writer.tag(1, DELIMITED);
  const mark = writer.begin(count * 22);
  for (let from = 0; from < count;) {
    const view = viewOf[from]!;
    let to = from + 1;
    while (to < count && viewOf[to] === view) to++;
    writeValues(found[view]!, from, to, writer, counts);
    from = to;
  }
  writer.tag(2, DELIMITED);
  writer.delimited(statuses, 0, count);
  writeTimes(viewOf, found, writer);
  writer.end(mark);
}

/** Views of the buffers that were used last: the blobs of one answer of Redis share their memory, and so does all that one writer writes. */
let source: DataView = new DataView(new ArrayBuffer(8));
let target = source;

/** The values [from, to) of the answer, all of one row. The fields of `writer` are held in variables: this loop is what an answer costs. */
function writeValues({ columns, blob, status }: FoundRow, from: number, to: number, writer: ProtoWriter, counts: Uint32Array): void {
  if (columns === undefined) {
    writer.reserve(NULL_BYTES * (to - from));
    for (let i = from; i < to; i++) writer.pos = writeNull(writer.bytes, writer.pos);
    statuses.fill(status, from, to);
    counts[status]! += to - from;
    return;
  }
  const { indices, kinds, offsets } = columns;
  const { buffer, byteOffset: sourceAt } = blob!;
  if (buffer !== source.buffer) source = new DataView(buffer);
  const read = source;
  writer.reserve(NUMBER_BYTES * (to - from));
  let { bytes, pos } = writer;
  let write = targetOf(bytes);
  let targetAt = bytes.byteOffset;
  let nulls = 0;
  for (let i = from; i < to; i++) {
    const index = indices[i]!;
    if (index < 0 || (blob![BLOB_HEADER_BYTES + (index >> 3)]! & (1 << (index & 7))) !== 0) {
      pos = writeNull(bytes, pos);
      statuses[i] = NULL_VALUE;
      nulls++;
      continue;
    }
    statuses[i] = PRESENT;
    if (kinds[i] === NUMBER) {
      bytes[pos] = 0x0a;
      bytes[pos + 1] = 0x09;
      bytes[pos + 2] = 0x11;
      // Both sides hold the double in little endian; no blob holds a NaN, whose bits a copy as a double could lose.
      write.setFloat64(targetAt + pos + 3, read.getFloat64(sourceAt + offsets[i]!, true), true);
      pos += NUMBER_BYTES;
    } else if (kinds[i] === BOOL) {
      bytes[pos] = 0x0a;
      bytes[pos + 1] = 0x02;
      bytes[pos + 2] = 0x20;
      bytes[pos + 3] = read.getFloat64(sourceAt + offsets[i]!, true) === 0 ? 0 : 1;
      pos += 4;
    } else {
      writer.pos = pos;
      writeText(readText(columns.layout, blob!, index)!, writer);
      writer.reserve(NUMBER_BYTES * (to - i));
      ({ bytes, pos } = writer);
      write = targetOf(bytes);
      targetAt = bytes.byteOffset;
    }
  }
  writer.pos = pos;
  counts[NULL_VALUE]! += nulls;
  counts[PRESENT]! += to - from - nulls;
}

function targetOf({ buffer }: Buffer): DataView {
  if (buffer !== target.buffer) target = new DataView(buffer);
  return target;
}

const NULL_BYTES = 4;
const NUMBER_BYTES = 11;

function writeNull(bytes: Buffer, pos: number): number {
  bytes[pos] = 0x0a;
  bytes[pos + 1] = 0x02;
  bytes[pos + 2] = 0x08;
  bytes[pos + 3] = 0x00;
  return pos + NULL_BYTES;
}

function writeText(text: string, writer: ProtoWriter): void {
  writer.tag(1, DELIMITED);
  const mark = writer.begin(20);
  writer.tag(3, DELIMITED);
  writer.string(text);
  writer.end(mark);
}

/** Behind the vectors: what a feature service calls its values. */
export function encodeNames(names: readonly string[]): Uint8Array {
  const writer = new ProtoWriter();
  for (const name of names) {
    writer.tag(2, DELIMITED);
    writer.string(name);
  }
  return writer.finish();
}

/** One time for each feature; features of one view share it, so runs of them are copies of the first. */
function writeTimes(viewOf: Int32Array, found: readonly FoundRow[], writer: ProtoWriter): void {
  for (let i = 0; i < viewOf.length;) {
    const view = viewOf[i]!;
    const start = writer.pos;
    writeTime(found[view]!.eventTimeMs, writer);
    const length = writer.pos - start;
    let run = 1;
    while (i + run < viewOf.length && viewOf[i + run] === view) run++;
    writer.reserve(length * (run - 1));
    const { bytes } = writer;
    for (let done = length; done < length * run;) {
      const part = Math.min(done, length * run - done);
      bytes.copyWithin(start + done, start, start + part);
      done += part;
    }
    writer.pos = start + length * run;
    i += run;
  }
}

function writeTime(ms: number, writer: ProtoWriter): void {
  const seconds = Math.floor(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1_000_000);
  writer.tag(3, DELIMITED);
  const mark = writer.begin(16);
  if (seconds !== 0) {
    writer.tag(1, 0);
    writer.int64(seconds);
  }
  if (nanos !== 0) {
    writer.tag(2, 0);
    writer.uint32(nanos);
  }
  writer.end(mark);
}
