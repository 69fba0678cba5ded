import { NameReader, type NamedValues } from './named-values.js';
import { DELIMITED, FIXED64, ProtoReader, VARINT } from './reader.js';
import type { ProtoWriter } from './writer.js';

/**
 * headrace.events.v1.FeatureRowsPublished on the wire: rows of one feature view.
 *
 *   event  = 0x0a project 0x12 view { 0x1a row }
 *   row    = { 0x0a key } [0x12 time] [0x1a values]
 *   key    = 0x0a name:string 0x12 value:string           map entry, an absent part is ''
 *   time   = 0x08 seconds:varint 0x10 nanos:varint
 *   values = { 0x0a field }                               google.protobuf.Struct
 *   field  = 0x0a name:string 0x12 value                  map entry, without a value it does not count
 *   value  = 0x08 null:varint | 0x11 f64 | 0x1a string | 0x20 bool:varint | 0x2a values | 0x32 { 0x0a value }
 *
 * Of a name or a part that comes twice the last one counts, as ts-proto reads it. Rows of one publisher have the same names in the
 * same order, so a name is compared as bytes with the row before and seldom becomes a text (see named-values.ts).
 */
export interface FeatureRowsData {
  project: string;
  view: string;
  rows: FeatureRowData[];
}

/** One row. The getters build the objects that ts-proto would have built; they are for the few rows that are refused. */
export class FeatureRowData {
  constructor(
    readonly keys: NamedValues,
    /** Undefined when absent, NaN when no Date can hold it. */
    readonly eventTimeMs: number | undefined,
    readonly features: NamedValues | undefined,
  ) {}

  get entity(): Record<string, unknown> {
    return asRecord(this.keys);
  }

  get eventTime(): Date | undefined {
    return this.eventTimeMs === undefined ? undefined : new Date(this.eventTimeMs);
  }

  get values(): Record<string, unknown> | undefined {
    return this.features && asRecord(this.features);
  }
}

/** Keeps the names of the last rows; one for each stream of events, never for two decodings at once. */
export class FeatureRowsDecoder {
  readonly #reader = new ProtoReader();
  readonly #keys = new NameReader('texts');
  readonly #features = new NameReader('values');

  /** The result holds no part of `bytes`. @throws AppError REQUEST_INVALID on malformed bytes. */
  decode(bytes: Uint8Array): FeatureRowsData {
    const reader = this.#reader.reset(bytes);
    this.#features.begin(bytes);
    const event: FeatureRowsData = { project: '', view: '', rows: [] };
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === ((3 << 3) | DELIMITED)) event.rows.push(this.#readRow(reader));
      else if (tag === ((1 << 3) | DELIMITED)) event.project = reader.string();
      else if (tag === ((2 << 3) | DELIMITED)) event.view = reader.string();
      else reader.skip(tag);
    }
    return event;
  }

  #readRow(reader: ProtoReader): FeatureRowData {
    let eventTimeMs: number | undefined;
    let features: NamedValues | undefined;
    const outer = reader.enter();
    this.#keys.start(reader.end - reader.pos);
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === ((1 << 3) | DELIMITED)) this.#keys.readEntry(reader);
      else if (tag === ((2 << 3) | DELIMITED)) eventTimeMs = readTime(reader);
      else if (tag === ((3 << 3) | DELIMITED)) features = this.#readStruct(reader);
      else reader.skip(tag);
    }
    reader.leave(outer);
    return new FeatureRowData(this.#keys.finish(), eventTimeMs, features);
  }

  #readStruct(reader: ProtoReader): NamedValues {
    const outer = reader.enter();
    this.#features.start(reader.end - reader.pos);
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === ((1 << 3) | DELIMITED)) this.#features.readEntry(reader);
      else reader.skip(tag);
    }
    reader.leave(outer);
    return this.#features.finish();
  }
}

/** The greatest distance from 1970 that a Date holds. */
const DATE_MS_MAX = 8.64e15;

function readTime(reader: ProtoReader): number {
  let seconds = 0;
  let nanos = 0;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | VARINT)) seconds = reader.int64Number();
    else if (tag === ((2 << 3) | VARINT)) nanos = reader.int32();
    else reader.skip(tag);
  }
  reader.leave(outer);
  const ms = seconds * 1000 + nanos / 1e6;
  return Math.abs(ms) <= DATE_MS_MAX ? Math.trunc(ms) + 0 : Number.NaN;
}

function asRecord({ shape, values }: NamedValues): Record<string, unknown> {
  const record: Record<string, unknown> = {};
  for (let i = 0; i < values.length; i++) if (values[i] !== undefined) define(record, shape.names[i]!, values[i]);
  return record;
}

function define(record: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') Object.defineProperty(record, name, { value, enumerable: true, configurable: true, writable: true });
  else record[name] = value;
}

/** What a publisher sends; the same as ts-proto's message. */
export interface FeatureRowsMessage {
  readonly project: string;
  readonly view: string;
  readonly rows: readonly {
    readonly entity: Readonly<Record<string, string>>;
    readonly eventTime: Date | undefined;
    readonly values: Readonly<Record<string, unknown>> | undefined;
  }[];
}

/** Writes the bytes that ts-proto writes. */
export function encodeFeatureRows({ project, view, rows }: FeatureRowsMessage, writer: ProtoWriter): void {
  if (project !== '') writeText(writer, 1, project);
  if (view !== '') writeText(writer, 2, view);
  for (const { entity, eventTime, values } of rows) {
    writer.tag(3, DELIMITED);
    const row = writer.begin(ROW_BYTES_GUESS);
    for (const name of Object.keys(entity)) {
      writer.tag(1, DELIMITED);
      const entry = writer.begin();
      if (name !== '') writeText(writer, 1, name);
      if (entity[name] !== '') writeText(writer, 2, entity[name]!);
      writer.end(entry);
    }
    if (eventTime !== undefined) writeTime(writer, eventTime.getTime());
    if (values !== undefined) writeStruct(writer, 3, values);
    writer.end(row);
  }
}

/** Between 128 and 16,384 bytes the length takes two, so that most rows are not moved. */
const ROW_BYTES_GUESS = 256;

function writeTime(writer: ProtoWriter, ms: number): void {
  writer.tag(2, DELIMITED);
  const mark = writer.begin();
  const seconds = Math.trunc(ms / 1000);
  const nanos = (ms % 1000) * 1e6;
  if (seconds !== 0) {
    writer.tag(1, VARINT);
    writer.int64(seconds);
  }
  if (nanos !== 0) {
    writer.tag(2, VARINT);
    writer.int32(nanos);
  }
  writer.end(mark);
}

function writeStruct(writer: ProtoWriter, field: number, values: Readonly<Record<string, unknown>>): void {
  writer.tag(field, DELIMITED);
  const mark = writer.begin(field === 3 ? ROW_BYTES_GUESS : 0);
  for (const name of Object.keys(values)) {
    const value = values[name];
    if (value === undefined) continue;
    writer.tag(1, DELIMITED);
    const entry = writer.begin();
    if (name !== '') writeText(writer, 1, name);
    writeValue(writer, 2, value);
    writer.end(entry);
  }
  writer.end(mark);
}

function writeValue(writer: ProtoWriter, field: number, value: unknown): void {
  writer.tag(field, DELIMITED);
  const mark = writer.begin();
  if (value === null) {
    writer.tag(1, VARINT);
    writer.uint32(0);
  } else if (typeof value === 'number') {
    writer.tag(2, FIXED64);
    writer.double(value);
  } else if (typeof value === 'string') writeText(writer, 3, value);
  else if (typeof value === 'boolean') {
    writer.tag(4, VARINT);
    writer.bool(value);
  } else if (Array.isArray(value)) {
    writer.tag(6, DELIMITED);
    const list = writer.begin();
    for (const item of value) writeValue(writer, 1, item);
    writer.end(list);
  } else if (typeof value === 'object') writeStruct(writer, 5, value as Readonly<Record<string, unknown>>);
  writer.end(mark);
}

function writeText(writer: ProtoWriter, field: number, text: string): void {
  writer.tag(field, DELIMITED);
  writer.string(text);
}
