import { DELIMITED, ProtoReader } from './reader.js';
import { isNull, readText, type BlobSchema } from './feature-blob.js';
import type { ProtoWriter } from './writer.js';

/**
 * headrace.features.v1.GetOnlineFeatures on the wire, read and written without an object for each value:
 *
 *   request  = [0x0a project:string] (0x12 reference:string)* (0x1a entity)*
 *   entity   = len (0x0a entry)*            entry  = len 0x0a name:string 0x12 value:string
 *   response = (0x0a vector)*               vector = len (0x0a value)* 0x12 statuses:packed (0x1a time)*
 *   value    = 0a 02 08 00 (null) | 0a 09 11 f64 (number) | 0a 02 20 bool | 0a len 1a len text
 *   time     = 1a len 08 seconds:varint 10 nanos:varint (of the Unix epoch: 1a 00)
 *
 * A request whose entities do not come last is legal protobuf, but no encoder writes it: it is left to the generated code.
 */
export interface AskedFeatures {
  readonly project: string;
  /** `view:feature` */
  readonly features: readonly string[];
}

/** Tags of the request's fields; an entity and its entries have the first two for entries, and for name and value. */
const FIRST = (1 << 3) | DELIMITED;
const SECOND = (2 << 3) | DELIMITED;
const ENTITY = (3 << 3) | DELIMITED;
/** Different heads that are remembered: callers repeat a handful for ever. */
const HEADS_MAX = 64;
/** Longer ones are read anew each time, so that the memory is bounded. */
const HEAD_BYTES_MAX = 64 * 1024;

interface Head {
  readonly bytes: Buffer;
  readonly asked: AskedFeatures;
}

/** `start`, then `entity` until it says `end`. Reusable. @throws AppError REQUEST_INVALID on malformed bytes. */
export class OnlineRequestReader {
  readonly #reader = new ProtoReader();
  #heads: Head[] = [];

  /** What is asked, the same object for the same bytes. */
  start(bytes: Buffer, start: number, end: number): AskedFeatures {
    const reader = this.#reader.reset(bytes, start, end);
    let headEnd = start;
    for (let tag = reader.tag(); tag !== 0 && tag !== ENTITY; tag = reader.tag()) {
      reader.skip(tag);
      headEnd = reader.pos;
    }
    reader.pos = headEnd;
    for (const { bytes: known, asked } of this.#heads) {
      if (known.length === headEnd - start && known.compare(bytes, start, headEnd) === 0) return asked;
    }
    const asked = readHead(bytes, start, headEnd);
    if (headEnd - start <= HEAD_BYTES_MAX) {
      if (this.#heads.length === HEADS_MAX) this.#heads = [];
      this.#heads.push({ bytes: Buffer.from(bytes.subarray(start, headEnd)), asked });
    }
    return asked;
  }

  /** Reads one entity: the values of the named keys into `values`, undefined where it has none. Other keys are passed over. */
  entity(names: readonly string[], values: (string | undefined)[]): 'read' | 'end' | 'unusual' {
    const reader = this.#reader;
    const tag = reader.tag();
    if (tag === 0) return 'end';
    if (tag !== ENTITY) return 'unusual';
    values.fill(undefined);
    const outer = reader.enter();
    for (let field = reader.tag(); field !== 0; field = reader.tag()) {
      if (field !== FIRST) reader.skip(field);
      else this.#entry(names, values);
    }
    reader.leave(outer);
    return 'read';
  }

  #entry(names: readonly string[], values: (string | undefined)[]): void {
    const reader = this.#reader;
    let name = '';
    let value = '';
    const outer = reader.enter();
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === FIRST) name = reader.string();
      else if (tag === SECOND) value = reader.string();
      else reader.skip(tag);
    }
    reader.leave(outer);
    const slot = names.indexOf(name);
    if (slot >= 0) values[slot] = value;
  }
}

function readHead(bytes: Uint8Array, start: number, end: number): AskedFeatures {
  const reader = new ProtoReader(bytes, start, end);
  const features: string[] = [];
  let project = '';
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === FIRST) project = reader.string();
    else if (tag === SECOND) features.push(reader.string());
    else reader.skip(tag);
  }
  return { project, features };
}

/** FieldStatus of the contract. */
export const PRESENT = 1;
export const NULL_VALUE = 2;
export const NOT_FOUND = 3;
export const OUTSIDE_MAX_AGE = 4;

/** What was found of one view for one entity; reused from entity to entity. */
export interface FoundRow {
  /** The blob's layout; undefined = nothing can be shown, and `status` says why. */
  layout: BlobSchema | undefined;
  blob: Buffer | undefined;
  status: typeof PRESENT | typeof NOT_FOUND | typeof OUTSIDE_MAX_AGE;
  eventTimeMs: number;
  /** Place in the layout of each wanted feature of this view, by its place in the answer; -1 = newer than the layout, so null. */
  indices: Int32Array;
}

/** Room for the statuses of one vector; a longer one grows it. */
let statuses = new Uint8Array(1024);

/**
 * Appends one vector. @param viewOf for each wanted feature the index of its view in `found`.
 * @param counts by status, added to.
 */
export function writeOnlineVector(viewOf: Int32Array, found: readonly FoundRow[], writer: ProtoWriter, counts: Uint32Array): void {
  const count = viewOf.length;
  if (count > statuses.length) statuses = new Uint8Array(2 * count);
  writer.tag(1, DELIMITED);
  const mark = writer.begin(count * 22);
  for (let i = 0; i < count; i++) {
    const row = found[viewOf[i]!]!;
    const isValue = row.layout !== undefined && writeValue(row.layout, row.blob!, row.indices[i]!, writer);
    const status = row.status !== PRESENT ? row.status : isValue ? PRESENT : NULL_VALUE;
    if (!isValue) writeNull(writer);
    statuses[i] = status;
    counts[status]!++;
  }
  writer.tag(2, DELIMITED);
  writer.delimited(statuses, 0, count);
  writeTimes(viewOf, found, writer);
  writer.end(mark);
}

function writeNull(writer: ProtoWriter): void {
  writer.reserve(4);
  const { bytes, pos } = writer;
  bytes[pos] = 0x0a;
  bytes[pos + 1] = 0x02;
  bytes[pos + 2] = 0x08;
  bytes[pos + 3] = 0x00;
  writer.pos = pos + 4;
}

/** @returns false when the feature is null, and then nothing is written. */
function writeValue(layout: BlobSchema, blob: Buffer, index: number, writer: ProtoWriter): boolean {
  if (index < 0 || isNull(blob, index)) return false;
  const { type } = layout.fields[index]!;
  if (type === 'string') {
    writer.tag(1, DELIMITED);
    const mark = writer.begin(20);
    writer.tag(3, DELIMITED);
    writer.string(readText(layout, blob, index)!);
    writer.end(mark);
    return true;
  }
  const from = layout.numbersAt + 8 * layout.slots[index]!;
  writer.reserve(11);
  const { bytes, pos } = writer;
  bytes[pos] = 0x0a;
  if (type === 'bool') {
    bytes[pos + 1] = 0x02;
    bytes[pos + 2] = 0x20;
    bytes[pos + 3] = blob.readDoubleLE(from) === 0 ? 0 : 1;
    writer.pos = pos + 4;
    return true;
  }
  // Both sides hold the double in little endian.
  bytes[pos + 1] = 0x09;
  bytes[pos + 2] = 0x11;
  for (let i = 0; i < 8; i++) bytes[pos + 3 + i] = blob[from + i]!;
  writer.pos = pos + 11;
  return true;
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
