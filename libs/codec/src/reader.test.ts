import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { seededRandom } from '@headrace/base/random';
import { describe, expect, it } from 'vitest';
import { DEPTH_MAX, ProtoReader } from './reader.js';
import { ProtoWriter } from './writer.js';

/** Any typed value under any field number: the widest message that the wire format can carry. */
interface Field {
  readonly field: number;
  readonly kind: (typeof KINDS)[number];
  readonly value: unknown;
}
const KINDS = [
  'uint32',
  'int32',
  'sint32',
  'bool',
  'uint64',
  'int64',
  'sint64',
  'fixed32',
  'sfixed32',
  'fixed64',
  'sfixed64',
  'float',
  'double',
  'string',
  'bytes',
] as const;
const WIRE_OF: Record<Field['kind'], WireType> = {
  uint32: WireType.Varint,
  int32: WireType.Varint,
  sint32: WireType.Varint,
  bool: WireType.Varint,
  uint64: WireType.Varint,
  int64: WireType.Varint,
  sint64: WireType.Varint,
  fixed32: WireType.Bit32,
  sfixed32: WireType.Bit32,
  float: WireType.Bit32,
  fixed64: WireType.Bit64,
  sfixed64: WireType.Bit64,
  double: WireType.Bit64,
  string: WireType.LengthDelimited,
  bytes: WireType.LengthDelimited,
};

it('reads what protobuf-es writes, and protobuf-es reads what it writes, byte for byte', () => {
  const random = seededRandom(1);
  for (let round = 0; round < 3000; round++) {
    const fields = randomFields(random);
    const theirs = writeWithProtobufEs(fields);
    const ours = new ProtoWriter(8);
    for (const { field, kind, value } of fields) {
      ours.tag(field, WIRE_OF[kind]);
      writeOurs(ours, kind, value);
    }
    expect(Buffer.from(ours.finish())).toEqual(Buffer.from(theirs));
    const reader = new ProtoReader(theirs);
    for (const { field, kind, value } of fields) {
      expect(reader.tag()).toBe(((field << 3) | WIRE_OF[kind]) >>> 0);
      expect(readOurs(reader, kind)).toEqual(value);
    }
    expect(reader.tag()).toBe(0);
  }
});

it('skips every unknown field to exactly the same place as protobuf-es', () => {
  const random = seededRandom(2);
  for (let round = 0; round < 2000; round++) {
    const bytes = writeWithProtobufEs(randomFields(random));
    const reader = new ProtoReader(bytes);
    const theirs = new BinaryReader(bytes);
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      const [field, wireType] = theirs.tag();
      reader.skip(tag);
      theirs.skip(wireType, field);
      expect(reader.pos).toBe(theirs.pos);
    }
  }
});

it('either reads or refuses random bytes, never reads outside the message, and agrees with protobuf-es on varints', () => {
  const random = seededRandom(3);
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: 2 + random() * 30 }, () => (random() < 0.3 ? 0x80 + random() * 128 : random() * 256));
    const start = Math.floor(random() * 2);
    const end = bytes.length - Math.floor(random() * 2);
    const reader = new ProtoReader(bytes, start, end);
    expect(outcome(() => skipAll(reader))).toMatch(/^(done|Malformed protobuf)/);
    expect(reader.pos).toBeLessThanOrEqual(end);
    const whole = bytes.slice(start, end);
    expect(outcome(() => new ProtoReader(whole).uint64(), 'refused')).toBe(outcome(() => new BinaryReader(whole).uint64(), 'refused'));
  }
});

it('refuses a message that is cut at any byte inside a field', () => {
  const whole = writeWithProtobufEs(randomFields(seededRandom(4)));
  const boundaries = new Set([0]);
  const walker = new ProtoReader(whole);
  for (let tag = walker.tag(); tag !== 0; tag = walker.tag()) {
    walker.skip(tag);
    boundaries.add(walker.pos);
  }
  for (let cut = 0; cut < whole.length; cut++) {
    const result = outcome(() => skipAll(new ProtoReader(whole, 0, cut)));
    if (boundaries.has(cut)) expect(result).toBe('done');
    else expect(result).toMatch(/^Malformed protobuf/);
  }
});

describe('hostile bytes', () => {
  const refusals: readonly (readonly [string, number[], (reader: ProtoReader) => unknown])[] = [
    ['field number 0', [0x02, 0x00], (r) => r.tag()],
    ['wire type 6', [0x0e], (r) => r.tag()],
    ['wire type 7', [0x0f], (r) => r.tag()],
    ['a field number beyond 29 bits', [0x88, 0x80, 0x80, 0x80, 0x10, 0], (r) => r.tag()],
    ['an end of a group that did not start', [0x0c], (r) => r.tag()],
    ['a length of 4 GiB', [0xff, 0xff, 0xff, 0xff, 0x0f, 1], (r) => r.string()],
    ['a length of 2^63', [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1], (r) => r.view()],
    ['a length one byte too long', [0x03, 1, 2], (r) => r.enter()],
    ['a varint of eleven bytes', Array<number>(11).fill(0x80), (r) => r.uint64()],
    ['a skipped varint of eleven bytes', [...Array<number>(10).fill(0x80), 1], (r) => r.skip(0x08)],
    ['text that is not UTF-8', [2, 0xc3, 0x28], (r) => r.string()],
    ['an overlong UTF-8 sequence', [2, 0xc0, 0x80], (r) => r.string()],
    ['a UTF-8 surrogate', [3, 0xed, 0xa0, 0x80], (r) => r.string()],
    ['packed floats of five bytes', [5, 0, 0, 0, 0, 0], (r) => r.packedFloats(new Float32Array(9), 0)],
    ['more packed floats than fit', [8, 0, 0, 0, 0, 0, 0, 0, 0], (r) => r.packedFloats(new Float32Array(2), 1)],
    ['more packed floats than the caller allows', [8, 0, 0, 0, 0, 0, 0, 0, 0], (r) => r.packedFloats(new Float32Array(9), 0, 1)],
    ['a group closed by another one', [0x14], (r) => r.skip(0x0b)],
    ['an int64 that a double cannot hold', [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10], (r) => r.int64Number()],
  ];
  it.each(refusals)('%s is refused', (_, bytes, read) => {
    expect(() => read(new ProtoReader(Uint8Array.from(bytes)))).toThrow(/Malformed protobuf/);
  });

  it('nesting is followed to depth 100 and not further, in messages and in groups alike', () => {
    const nest = (depth: number): ProtoReader => {
      const reader = new ProtoReader(Buffer.alloc(depth, depth));
      for (let i = 0; i < depth; i++) {
        reader.bytes[i] = depth - i - 1;
        reader.enter();
      }
      return reader;
    };
    expect(() => nest(DEPTH_MAX)).not.toThrow();
    expect(() => nest(DEPTH_MAX + 1)).toThrow(/deeper than 100/);
    const groups = (depth: number): Uint8Array => Uint8Array.from([...Array<number>(depth).fill(0x0b), ...Array<number>(depth).fill(0x0c)]);
    expect(outcome(() => skipAll(new ProtoReader(groups(DEPTH_MAX))))).toBe('done');
    expect(outcome(() => skipAll(new ProtoReader(groups(DEPTH_MAX + 1))))).toMatch(/deeper than 100/);
    expect(outcome(() => skipAll(new ProtoReader(groups(30_000))))).toMatch(/deeper than 100/);
  });
});

it('copies packed floats to any place of the target, aligned or not, few or many, and leaves the rest alone', () => {
  for (const count of [0, 1, 3, 12, 13, 30, 200]) {
    const floats = Float32Array.from({ length: count }, (_, i) => Math.fround(i * 1.7 - 5));
    const message = new BinaryWriter().bytes(new Uint8Array(floats.buffer)).finish();
    for (let shift = 0; shift < 5; shift++) {
      const shifted = new Uint8Array(message.length + shift);
      shifted.set(message, shift);
      const memory = new Float32Array(count + 10).fill(99);
      const target = memory.subarray(2);
      expect(new ProtoReader(shifted, shift).packedFloats(target, 3)).toBe(count);
      expect(target.slice(3, 3 + count)).toEqual(floats);
      expect([...memory.slice(0, 5), ...memory.slice(5 + count)]).toEqual(Array(10).fill(99));
    }
  }
});

it('reads a nested message between its siblings', () => {
  const bytes = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .fork()
    .tag(2, WireType.Varint)
    .uint32(7)
    .join()
    .tag(3, WireType.Varint)
    .uint32(9)
    .finish();
  const reader = new ProtoReader(bytes);
  expect(reader.tag()).toBe(0x0a);
  const outer = reader.enter();
  expect([reader.tag(), reader.uint32(), reader.tag()]).toEqual([0x10, 7, 0]);
  reader.leave(outer);
  expect([reader.tag(), reader.uint32(), reader.tag()]).toEqual([0x18, 9, 0]);
});

function randomFields(random: () => number): Field[] {
  return Array.from({ length: 1 + Math.floor(random() * 8) }, () => {
    const kind = KINDS[Math.floor(random() * KINDS.length)]!;
    return { field: 1 + Math.floor(2 ** (random() * 29) - 1), kind, value: randomValue(kind, random) };
  });
}

function randomValue(kind: Field['kind'], random: () => number): unknown {
  const bits64 = (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32));
  const wide = bits64 >> BigInt(Math.floor(random() * 64));
  const narrow = Number(BigInt.asUintN(32, bits64) >> BigInt(Math.floor(random() * 32)));
  switch (kind) {
    case 'bool':
      return random() < 0.5;
    case 'uint32':
    case 'fixed32':
      return narrow;
    case 'int32':
    case 'sint32':
    case 'sfixed32':
      return (random() < 0.5 ? narrow : ~narrow) | 0;
    case 'uint64':
    case 'fixed64':
      return wide;
    case 'int64':
    case 'sint64':
    case 'sfixed64':
      return BigInt.asIntN(64, random() < 0.5 ? wide : ~wide);
    case 'float':
      return Math.fround(random() * 1e6 - 5e5);
    case 'double':
      return random() * 1e300;
    case 'string':
      return Array.from({ length: random() * (random() < 0.1 ? 400 : 9) }, () => TEXT[Math.floor(random() * TEXT.length)]).join('');
    case 'bytes':
      return Uint8Array.from({ length: random() * (random() < 0.1 ? 400 : 40) }, () => random() * 256);
  }
}
const TEXT = ['a', 'Z', '7', ' ', 'é', '語', '😀', '\u0000'];

function writeWithProtobufEs(fields: readonly Field[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const { field, kind, value } of fields) (writer.tag(field, WIRE_OF[kind])[kind] as (v: unknown) => void)(value);
  return writer.finish();
}

function writeOurs(writer: ProtoWriter, kind: Field['kind'], value: unknown): void {
  switch (kind) {
    case 'bytes':
      return writer.delimited(value as Uint8Array);
    case 'sfixed32':
      return writer.fixed32(value as number);
    case 'sfixed64':
      return writer.fixed64(value as bigint);
    case 'uint64':
      return writer.int64(value as bigint);
    default:
      return (writer[kind] as (v: unknown) => void).call(writer, value);
  }
}

function readOurs(reader: ProtoReader, kind: Field['kind']): unknown {
  return kind === 'bytes' ? Uint8Array.from(reader.view()) : reader[kind]();
}

function skipAll(reader: ProtoReader): string {
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) reader.skip(tag);
  return 'done';
}

/** The result as text, or the message of the error; `refusedAs` stands in for the other library's own wording. */
function outcome(run: () => unknown, refusedAs?: string): string {
  try {
    return String(run());
  } catch (error) {
    return refusedAs ?? (error as Error).message;
  }
}
