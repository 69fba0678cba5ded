import { DELIMITED, FIXED32, VARINT, type ProtoReader } from './reader.js';
import type { ProtoWriter } from './writer.js';

/** One named column; a well-formed one uses one of the three lists, and its user decides that. */
export interface NamedColumnData {
  readonly name: string;
  readonly floats: Float32Array;
  readonly ints: readonly number[];
  readonly strings: readonly string[];
}

const NO_FLOATS = new Float32Array(0);
export const NO_COLUMN: NamedColumnData = { name: '', floats: NO_FLOATS, ints: [], strings: [] };

/**
 * headrace.serving.v1.NamedColumn at the reader's place (length first):
 *
 *   column = { 0x0a name:string | 0x12 floats:packed-f32 | 0x15 float:f32 | 0x1a ints:packed-varint | 0x18 int:varint
 *            | 0x22 string:string | unknown }
 *
 * Arrays are sized by the bytes that are really there, never by a claimed count.
 */
export function readNamedColumn(reader: ProtoReader): NamedColumnData {
  let name = '';
  let floats: Float32Array = NO_FLOATS;
  let floatCount = 0;
  const ints: number[] = [];
  const strings: string[] = [];
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case (1 << 3) | DELIMITED:
        name = reader.string();
        break;
      case (2 << 3) | DELIMITED: {
        const at = reader.pos;
        const count = reader.length() >>> 2;
        reader.pos = at;
        floats = withRoom(floats, floatCount, count);
        floatCount += reader.packedFloats(floats, floatCount, count);
        break;
      }
      case (2 << 3) | FIXED32:
        floats = withRoom(floats, floatCount, 1);
        floats[floatCount++] = reader.float();
        break;
      case (3 << 3) | DELIMITED: {
        const list = reader.enter();
        while (reader.pos < reader.end) ints.push(reader.int64Number());
        reader.leave(list);
        break;
      }
      case (3 << 3) | VARINT:
        ints.push(reader.int64Number());
        break;
      case (4 << 3) | DELIMITED:
        strings.push(reader.string());
        break;
      default:
        reader.skip(tag);
    }
  }
  reader.leave(outer);
  return { name, floats: floats.subarray(0, floatCount), ints, strings };
}

/** Writes the length and the column; the caller wrote the tag. */
export function writeNamedColumn(writer: ProtoWriter, column: NamedColumnData): void {
  const mark = writer.begin(column.name.length + 4 * column.floats.length + 2 * column.ints.length + 8);
  if (column.name) {
    writer.tag(1, DELIMITED);
    writer.string(column.name);
  }
  if (column.floats.length > 0) {
    writer.tag(2, DELIMITED);
    writer.packedFloats(column.floats);
  }
  if (column.ints.length > 0) {
    writer.tag(3, DELIMITED);
    const list = writer.begin(column.ints.length);
    for (const value of column.ints) writer.int64(value);
    writer.end(list);
  }
  for (const value of column.strings) {
    writer.tag(4, DELIMITED);
    writer.string(value);
  }
  writer.end(mark);
}

/** Doubles, so that a message of many small pieces costs no more than its size. */
function withRoom(floats: Float32Array, used: number, more: number): Float32Array {
  if (used + more <= floats.length) return floats;
  const larger = new Float32Array(Math.max(used + more, used * 2));
  larger.set(floats.subarray(0, used));
  return larger;
}
