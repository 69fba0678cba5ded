import { DELIMITED, FIXED32, FIXED64, VARINT, type ProtoReader } from './reader.js';
import type { ProtoWriter } from './writer.js';

/** One output of a graph for all rows; one of the lists is filled. */
export interface OutputColumnData {
  readonly name: string;
  /** Sizes of the values of one row; empty = one value. */
  readonly shape: readonly number[];
  readonly floats: ArrayLike<number>;
  readonly doubles: ArrayLike<number>;
  readonly ints: ArrayLike<number | bigint>;
  readonly strings: readonly string[];
}

/** As a client reads it. */
export interface ReadOutputColumn extends OutputColumnData {
  readonly ints: readonly number[];
}

export const NO_OUTPUT: OutputColumnData = { name: '', shape: [], floats: [], doubles: [], ints: [], strings: [] };

/**
 * headrace.serving.v1.OutputColumn, length first; the caller wrote the tag:
 *
 *   column = 0x0a name:string [0x12 shape:packed-varint] ( 0x1a floats:packed-f32 | 0x22 doubles:packed-f64 | 0x2a ints:packed-varint
 *          | { 0x32 string } )
 */
export function writeOutputColumn(writer: ProtoWriter, { name, shape, floats, doubles, ints, strings }: OutputColumnData): void {
  const mark = writer.begin(name.length + 4 * floats.length + 8 * doubles.length + 2 * ints.length + 8);
  if (name) {
    writer.tag(1, DELIMITED);
    writer.string(name);
  }
  packed(writer, 2, shape, 1, (size) => writer.uint32(size));
  packed(writer, 3, floats, 4, (value) => writer.float(value));
  packed(writer, 4, doubles, 8, (value) => writer.double(value));
  packed(writer, 5, ints, 2, (value) => writer.int64(value));
  for (const value of strings) {
    writer.tag(6, DELIMITED);
    writer.string(value);
  }
  writer.end(mark);
}

/** At the reader's place, length first; lists may come packed, one by one, or in pieces. @throws AppError REQUEST_INVALID on malformed bytes. */
export function readOutputColumn(reader: ProtoReader): ReadOutputColumn {
  let name = '';
  const shape: number[] = [];
  const floats: number[] = [];
  const doubles: number[] = [];
  const ints: number[] = [];
  const strings: string[] = [];
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const field = tag >>> 3;
    if (tag === ((1 << 3) | DELIMITED)) name = reader.string();
    else if (field === 2) list(reader, tag, VARINT, () => shape.push(reader.uint32()));
    else if (field === 3) list(reader, tag, FIXED32, () => floats.push(reader.float()));
    else if (field === 4) list(reader, tag, FIXED64, () => doubles.push(reader.double()));
    else if (field === 5) list(reader, tag, VARINT, () => ints.push(reader.int64Number()));
    else if (tag === ((6 << 3) | DELIMITED)) strings.push(reader.string());
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { name, shape, floats, doubles, ints, strings };
}

function packed<T>(writer: ProtoWriter, field: number, values: ArrayLike<T>, bytesEach: number, write: (value: T) => void): void {
  if (values.length === 0) return;
  writer.tag(field, DELIMITED);
  const mark = writer.begin(values.length * bytesEach);
  for (let i = 0; i < values.length; i++) write(values[i]!);
  writer.end(mark);
}

/** The elements behind the tag; a wire type that they cannot have is stepped over. */
function list(reader: ProtoReader, tag: number, wireType: number, readOne: () => void): void {
  if ((tag & 7) === wireType) return readOne();
  if ((tag & 7) !== DELIMITED) return reader.skip(tag);
  const outer = reader.enter();
  while (reader.pos < reader.end) readOne();
  reader.leave(outer);
}
