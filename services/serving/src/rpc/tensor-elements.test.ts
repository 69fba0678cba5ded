import { AppError } from '@headrace/base/errors';
import { NO_CONTENTS } from '@headrace/codec/infer-contents';
import { seededRandom } from '@headrace/base/random';
import { DATATYPES, joinRows, sliceRows, type Datatype, type Tensor } from '@headrace/executor/tensor';
import { describe, expect, it } from 'vitest';
import { fromContents, fromRaw, toContents, toRaw } from './tensor-bytes.js';
import { fromJson, parseJson, toJson } from './tensor-json.js';

const TYPES = Object.keys(DATATYPES) as Datatype[];

/** Any bits are a value of every type but BOOL, and floats that JSON can say. */
function randomTensor(datatype: Datatype, random: () => number, count = 12): Tensor {
  const shape = [count / 2, 2];
  if (datatype === 'BYTES')
    return {
      name: 't',
      datatype,
      shape,
      bytes: new Uint8Array(0),
      texts: Array.from({ length: count }, () => (random() < 0.3 ? '' : `ä${random()}\n"`)),
    };
  const bytes = Uint8Array.from({ length: count * DATATYPES[datatype].bytes }, () => Math.floor(random() * 256));
  if (datatype === 'BOOL') bytes.forEach((value, i) => (bytes[i] = value & 1));
  if (datatype === 'FP32') bytes.set(new Uint8Array(Float32Array.from({ length: count }, () => random() * 1e10 - 5e9).buffer));
  if (datatype === 'FP64') bytes.set(new Uint8Array(Float64Array.from({ length: count }, () => random() - 0.5).buffer));
  // An exponent of all ones is NaN or infinite.
  if (datatype === 'FP16') for (let i = 1; i < bytes.length; i += 2) bytes[i] = bytes[i]! & 0xbf;
  return { name: 't', datatype, shape, bytes, texts: [] };
}

describe('elements of tensors', () => {
  it.each(TYPES)('of %s stay the same as raw bytes, as typed contents and as JSON (seeded)', (datatype) => {
    const random = seededRandom(31);
    for (let i = 0; i < 50; i++) {
      const tensor = randomTensor(datatype, random);
      const { bytes, texts } = tensor;
      expect(fromRaw('t', datatype, Uint8Array.from(toRaw(tensor)))).toEqual({ bytes, texts });
      if (datatype !== 'FP16') expect(fromContents('t', datatype, toContents(tensor))).toEqual({ bytes, texts });
      expect(fromJson('t', datatype, parseJson(toJson(tensor)))).toEqual({ bytes, texts });
      const cut = [sliceRows(tensor, 0, 1), sliceRows(tensor, 1, 3), sliceRows(tensor, 4, 2)];
      expect(joinRows(cut)).toEqual(tensor);
    }
  });

  it('says the extremes of 64 bits in JSON, to the digit', () => {
    const { bytes } = fromJson('t', 'INT64', parseJson('[-9223372036854775808,9223372036854775807,0]'));
    expect([...new BigInt64Array(bytes.buffer as ArrayBuffer)]).toEqual([-(2n ** 63n), 2n ** 63n - 1n, 0n]);
    const tensor: Tensor = { name: 't', datatype: 'UINT64', shape: [1], bytes: new Uint8Array(8).fill(0xff), texts: [] };
    expect(toJson(tensor)).toBe('[18446744073709551615]');
  });

  it('takes nested data, and null for NaN, which comes back as null', () => {
    const { bytes } = fromJson('t', 'FP32', [
      [1, null],
      [[2], [3]],
    ]);
    expect([...new Float32Array(bytes.buffer as ArrayBuffer)]).toEqual([1, Number.NaN, 2, 3]);
    expect(toJson({ name: 't', datatype: 'FP32', shape: [4], bytes, texts: [] })).toBe('[1,null,2,3]');
  });

  it.each([
    [
      'an infinity in JSON',
      () => toJson({ name: 't', datatype: 'FP32', shape: [1], bytes: new Uint8Array(Float32Array.of(Infinity).buffer), texts: [] }),
      /element 0 is infinite/,
    ],
    ['a fraction for an integer', () => fromJson('t', 'INT32', [1, 1.5]), /element 1 is 1\.5, which is no INT32/],
    ['a number beyond its type', () => fromJson('t', 'UINT8', [256]), /256, which is no UINT8/],
    ['2^64', () => fromJson('t', 'UINT64', parseJson('[18446744073709551616]')), /no UINT64/],
    ['an integer that a double lost', () => fromJson('t', 'INT64', [1e300]), /no INT64/],
    ['a text for a number', () => fromJson('t', 'FP32', ['1']), /no FP32/],
    ['a number for a text', () => fromJson('t', 'BYTES', [1]), /no BYTES/],
    ['no list', () => fromJson('t', 'FP32', undefined), /no list/],
    ['lists without end', () => fromJson('t', 'FP32', JSON.parse('['.repeat(80) + ']'.repeat(80))), /deeper/],
    ['a text that is cut', () => fromRaw('t', 'BYTES', Uint8Array.of(2, 0, 0, 0, 97)), /element 0 of its BYTES/],
    ['a length that is cut', () => fromRaw('t', 'BYTES', Uint8Array.of(0, 0, 0, 0, 1, 0)), /element 1 of its BYTES/],
    ['a text of 4 GiB', () => fromRaw('t', 'BYTES', new Uint8Array(8).fill(0xff)), /element 0/],
    ['a text that is no UTF-8', () => fromRaw('t', 'BYTES', Uint8Array.of(1, 0, 0, 0, 0xff)), /not UTF-8/],
    [
      'elements in a foreign list',
      () => fromContents('t', 'FP32', { ...NO_CONTENTS, ints: Int32Array.of(1) }),
      /contents hold ints; they belong into floats/,
    ],
    ['typed half floats', () => fromContents('t', 'FP16', { ...NO_CONTENTS, floats: Float32Array.of(1) }), /raw contents only/],
    [
      'an int32 that is no INT8',
      () => fromContents('t', 'INT8', { ...NO_CONTENTS, ints: Int32Array.of(1, 128) }),
      /element 1 is 128, which is no INT8/,
    ],
  ] as const)('refuses %s', (_name, act, message) => {
    try {
      act();
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(AppError);
      expect((error as AppError).code).toBe('INPUT_INVALID');
      expect((error as AppError).message).toMatch(message);
    }
  });
});
