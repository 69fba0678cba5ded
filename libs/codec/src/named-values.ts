import { DELIMITED, FIXED64, VARINT, type ProtoReader } from './reader.js';

/** The names of a row in the order of its values. Rows that follow each other mostly share one, so it is a good key of a cache. */
export class Shape {
  /** UTF-8 of the names. */
  readonly bytes: readonly Uint8Array[];

  constructor(readonly names: readonly string[]) {
    this.bytes = names.map((name) => Buffer.from(name));
  }
}

export interface NamedValues {
  readonly shape: Shape;
  /** One for each name of the shape; undefined = the row has none of that name. */
  readonly values: readonly unknown[];
}

const NO_NAMES = new Shape([]);
/** The first byte of entry length, name length and value length that needs a second one. */
const LONG = 0x80;

/**
 * Reads the entries of a protobuf map of names one by one. An entry in the usual form, whose name is the next one of the row before
 * or follows somewhere behind it, is taken from its bytes at once; any other one goes the slow way through the reader. A row may
 * leave out names of the row before as long as its values are not more than its bytes, so memory stays in proportion to the input.
 */
export class NameReader {
  readonly #texts: boolean;
  #shape = NO_NAMES;
  #values: unknown[] = [];
  /** Slots that the row may have in the shape of the row before. */
  #slotsMax = 0;
  /** Names of this row, once it differs from the row before. */
  #own: Map<string, number> | undefined;
  #doubles: DataView = new DataView(new ArrayBuffer(0));

  /** @param kind `texts` for map<string, string>, `values` for map<string, google.protobuf.Value>. */
  constructor(kind: 'texts' | 'values') {
    this.#texts = kind === 'texts';
  }

  /** @param bytes what the next entries are read from. */
  begin(bytes: Uint8Array): void {
    this.#doubles = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @param mapBytes at least the bytes of all entries of this map. */
  start(mapBytes: number): void {
    this.#values = [];
    this.#own = undefined;
    this.#slotsMax = Math.min(this.#shape.names.length, mapBytes);
  }

  /** The entry's tag has been read. */
  readEntry(reader: ProtoReader): void {
    if (this.#own === undefined && this.#readUsual(reader)) return;
    let name = '';
    let value: unknown = this.#texts ? '' : undefined;
    const outer = reader.enter();
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === ((1 << 3) | DELIMITED)) name = reader.string();
      else if (tag === ((2 << 3) | DELIMITED)) value = this.#texts ? reader.string() : readValue(reader);
      else reader.skip(tag);
    }
    reader.leave(outer);
    if (value !== undefined) this.#put(name, value);
  }

  finish(): NamedValues {
    const values = this.#values;
    if (this.#own !== undefined) this.#shape = new Shape([...this.#own.keys()]);
    else if (this.#slotsMax === this.#shape.names.length) while (values.length < this.#slotsMax) values.push(undefined);
    else this.#shape = new Shape(this.#shape.names.slice(0, values.length));
    return { shape: this.#shape, values };
  }

  /** Entry, name and value shorter than 128 bytes, in this order and with nothing else: what every encoder writes. */
  #readUsual(reader: ProtoReader): boolean {
    const { bytes, pos, end } = reader;
    if (end - pos < 5) return false;
    const entryLength = bytes[pos]!;
    const nameLength = bytes[pos + 2]!;
    const entryEnd = pos + 1 + entryLength;
    const valueAt = pos + 5 + nameLength;
    if (entryLength >= LONG || entryEnd > end || bytes[pos + 1] !== 0x0a || nameLength >= LONG || valueAt > entryEnd) return false;
    const valueLength = bytes[valueAt - 1]!;
    if (bytes[valueAt - 2] !== 0x12 || valueLength >= LONG || valueAt + valueLength !== entryEnd) return false;
    const slot = this.#slotOf(bytes, pos + 3, nameLength);
    if (slot < 0) return false;
    const value = this.#texts ? readTextAt(reader, valueAt - 1) : this.#usualValue(reader, valueAt, valueLength);
    if (value === undefined) return false;
    const values = this.#values;
    while (values.length < slot) values.push(undefined);
    values.push(value);
    reader.pos = entryEnd;
    return true;
  }

  /** The place of the name in the shape of the row before, not before the next free one; -1 when it is not there. */
  #slotOf(bytes: Uint8Array, at: number, length: number): number {
    const names = this.#shape.bytes;
    for (let slot = this.#values.length; slot < this.#slotsMax; slot++) {
      const name = names[slot]!;
      if (name.length !== length) continue;
      let i = 0;
      while (i < length && name[i] === bytes[at + i]) i++;
      if (i === length) return slot;
    }
    return -1;
  }

  /** Undefined = not in the usual form. */
  #usualValue(reader: ProtoReader, at: number, length: number): unknown {
    const tag = reader.bytes[at];
    const next = reader.bytes[at + 1]!;
    if (tag === 0x11) return length === 9 ? this.#doubles.getFloat64(at + 1, true) : undefined;
    if (tag === 0x1a) return length >= 2 && next === length - 2 ? readTextAt(reader, at + 1) : undefined;
    if (length !== 2 || next >= LONG) return undefined;
    if (tag === 0x08) return null;
    return tag === 0x20 ? next !== 0 : undefined;
  }

  #put(name: string, value: unknown): void {
    let own = this.#own;
    if (own === undefined) {
      const { names } = this.#shape;
      const slot = this.#values.length;
      if (slot < this.#slotsMax && names[slot] === name) {
        this.#values.push(value);
        return;
      }
      this.#own = own = new Map();
      for (let i = 0; i < slot; i++) own.set(names[i]!, i);
    }
    const slot = own.get(name);
    if (slot === undefined) {
      own.set(name, this.#values.length);
      this.#values.push(value);
    } else this.#values[slot] = value;
  }
}

function readTextAt(reader: ProtoReader, lengthAt: number): string {
  reader.pos = lengthAt;
  return reader.string();
}

/** A google.protobuf.Value as plain data; undefined when it is empty. The reader bounds the nesting. */
function readValue(reader: ProtoReader): unknown {
  let value: unknown;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | VARINT)) {
      reader.int32();
      value = null;
    } else if (tag === ((2 << 3) | FIXED64)) value = reader.double();
    else if (tag === ((3 << 3) | DELIMITED)) value = reader.string();
    else if (tag === ((4 << 3) | VARINT)) value = reader.bool();
    else if (tag === ((5 << 3) | DELIMITED)) value = readNested(reader);
    else if (tag === ((6 << 3) | DELIMITED)) value = readList(reader);
    else reader.skip(tag);
  }
  reader.leave(outer);
  return value;
}

function readNested(reader: ProtoReader): Record<string, unknown> {
  const fields = new Map<string, unknown>();
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | DELIMITED)) readNestedEntry(reader, fields);
    else reader.skip(tag);
  }
  reader.leave(outer);
  return Object.fromEntries(fields);
}

function readNestedEntry(reader: ProtoReader, fields: Map<string, unknown>): void {
  let name = '';
  let value: unknown;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | DELIMITED)) name = reader.string();
    else if (tag === ((2 << 3) | DELIMITED)) value = readValue(reader);
    else reader.skip(tag);
  }
  reader.leave(outer);
  if (value !== undefined) fields.set(name, value);
}

function readList(reader: ProtoReader): unknown[] {
  const items: unknown[] = [];
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | DELIMITED)) items.push(readValue(reader));
    else reader.skip(tag);
  }
  reader.leave(outer);
  return items;
}
