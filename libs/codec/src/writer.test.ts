import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { expect, it } from 'vitest';
import { ProtoWriter } from './writer.js';

it('fills in lengths of nested messages of every size class, whatever the guess was', () => {
  for (const size of [0, 1, 127, 128, 129, 16_383, 16_384, 2_097_152]) {
    for (const guess of [0, size, 300, 20_000]) {
      const content = Buffer.alloc(size, 0x5a);
      const writer = new ProtoWriter(16);
      writer.tag(1, WireType.LengthDelimited);
      const outer = writer.begin(guess);
      writer.tag(2, WireType.LengthDelimited);
      const inner = writer.begin();
      writer.raw(content);
      writer.end(inner);
      writer.end(outer);
      writer.tag(3, WireType.Varint);
      writer.bool(true);
      const expected = new BinaryWriter()
        .tag(1, WireType.LengthDelimited)
        .fork()
        .tag(2, WireType.LengthDelimited)
        .bytes(content)
        .join()
        .tag(3, WireType.Varint)
        .bool(true)
        .finish();
      expect(Buffer.compare(writer.finish(), expected)).toBe(0);
    }
  }
});

it('writes packed floats from any part of an array like protobuf-es', () => {
  const floats = Float32Array.from({ length: 60 }, (_, i) => i / 7);
  for (const [from, count] of [
    [0, 0],
    [0, 5],
    [7, 12],
    [7, 13],
    [0, 60],
  ] as const) {
    const writer = new ProtoWriter(4);
    writer.packedFloats(floats, from, count);
    const expected = new BinaryWriter().fork();
    for (let i = from; i < from + count; i++) expected.float(floats[i]!);
    expect(Buffer.from(writer.finish())).toEqual(Buffer.from(expected.join().finish()));
  }
});

it('writes integers given as numbers like those given as bigints', () => {
  for (const value of [
    0,
    1,
    127,
    128,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    Number.MAX_SAFE_INTEGER,
    -1,
    -128,
    -(2 ** 32),
    Number.MIN_SAFE_INTEGER,
  ]) {
    const number = new ProtoWriter();
    number.int64(value);
    expect(Buffer.from(number.finish())).toEqual(Buffer.from(new BinaryWriter().int64(BigInt(value)).finish()));
  }
  expect(() => new ProtoWriter().int64(2 ** 53)).toThrow(/holds exactly/);
});

it('keeps its buffer when it is reset, so that steady traffic allocates nothing', () => {
  const writer = new ProtoWriter(16);
  writer.raw(Buffer.alloc(5000));
  const grown = writer.bytes;
  for (let i = 0; i < 100; i++) {
    writer.reset().string('é'.repeat(1000));
    expect(writer.bytes).toBe(grown);
  }
});
