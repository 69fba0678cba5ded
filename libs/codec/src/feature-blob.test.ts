import { seededRandom } from '@headrace/base/random';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  blobFingerprint,
  blobStamp,
  checkBlob,
  compareStamps,
  compileBlobSchema,
  decodeNumbersInto,
  encodeBlob,
  encodeErased,
  isErased,
  isNull,
  readText,
  readValue,
  type BlobField,
  type BlobType,
  type FeatureValue,
  type RowStamp,
} from './feature-blob.js';
import { joinEntityKey, onlineKey, splitEntityKey } from './feature-key.js';

const stamp: RowStamp = { eventTimeMs: 1_451_606_400_000, ingestTimeMs: 1_763_000_000_000.123, tieBreak: 4_503_599_627_370_495 };

const DIMENSION = 5;
const valueOf: Record<BlobType, fc.Arbitrary<FeatureValue>> = {
  int64: fc.maxSafeInteger(),
  float64: fc.double({ noNaN: true, noDefaultInfinity: true }),
  string: fc.string({ unit: 'grapheme', maxLength: 20 }),
  bool: fc.boolean(),
  timestamp: fc.integer({ min: -2_208_988_800_000, max: 4_102_444_800_000 }),
  embedding: fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: DIMENSION, maxLength: DIMENSION }),
};

/** A schema and one row for it. */
const rows = fc
  .array(fc.constantFrom<BlobType>('int64', 'float64', 'string', 'bool', 'timestamp', 'embedding'), { minLength: 1, maxLength: 40 })
  .chain((types) =>
    fc.tuple(
      fc.constant(types.map((type, i): BlobField => ({ name: `f${i}`, type, ...(type === 'embedding' ? { dimension: DIMENSION } : {}) }))),
      fc.tuple(...types.map((type) => fc.option(valueOf[type]))) as unknown as fc.Arbitrary<FeatureValue[]>,
    ),
  );

describe('feature blob', () => {
  it('gives back every value, null and stamp that went in', () => {
    fc.assert(
      fc.property(rows, ([fields, values]) => {
        const schema = compileBlobSchema(fields);
        const blob = encodeBlob(schema, values, stamp);
        expect(checkBlob(schema, blob)).toBe('none');
        expect(blobStamp(blob)).toEqual(stamp);
        expect(fields.map((_, i) => readValue(schema, blob, i))).toEqual(values);
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('copies the wanted numbers, in the wanted order, to the wanted place, with NaN for nulls', () => {
    const schema = compileBlobSchema([
      { name: 'a', type: 'int64' },
      { name: 's', type: 'string' },
      { name: 'b', type: 'bool' },
      { name: 'n', type: 'float64' },
    ]);
    const blob = encodeBlob(schema, [7, 'x', true, null], stamp);
    const out = new Float64Array(6).fill(-1);
    const nulls = new Uint8Array(6).fill(9);
    decodeNumbersInto(schema, blob, Int32Array.of(2, 3, 0, 1), out, 1, nulls);
    expect([...out]).toEqual([-1, 1, Number.NaN, 7, Number.NaN, -1]);
    expect([...nulls]).toEqual([9, 0, 1, 0, 0, 9]);
    expect(readText(schema, blob, 1)).toBe('x');
    expect(isNull(blob, 3)).toBe(true);
  });

  it('refuses every truncation and every added byte', () => {
    fc.assert(
      fc.property(rows, ([fields, values]) => {
        const schema = compileBlobSchema(fields);
        const blob = encodeBlob(schema, values, stamp);
        for (let length = 0; length < blob.length; length++) expect(checkBlob(schema, blob.subarray(0, length))).toBe('corrupt');
        expect(checkBlob(schema, Buffer.concat([blob, Buffer.of(0)]))).toBe('corrupt');
      }),
      { seed: 2, numRuns: 50 },
    );
  });

  it('never throws on noise, and never reads beyond a blob that passed the check', () => {
    const random = seededRandom(3);
    const schema = compileBlobSchema([
      { name: 'a', type: 'int64' },
      { name: 's', type: 'string' },
      { name: 't', type: 'string' },
    ]);
    const good = encodeBlob(schema, [1, 'hello', 'world'], stamp);
    let passed = 0;
    for (let n = 0; n < 20_000; n++) {
      const bad = Buffer.from(good);
      for (let flips = 0; flips < 1 + random() * 3; flips++) bad[Math.floor(random() * bad.length)] = Math.floor(random() * 256);
      if (checkBlob(schema, bad) !== 'none') continue;
      passed++;
      expect((readText(schema, bad, 1) ?? '').length + (readText(schema, bad, 2) ?? '').length).toBeLessThanOrEqual(10);
    }
    expect(passed).toBeGreaterThan(0);
  });

  it('tells another layout and another format apart from corruption', () => {
    const one = compileBlobSchema([{ name: 'a', type: 'int64' }]);
    const renamed = compileBlobSchema([{ name: 'b', type: 'int64' }]);
    const retyped = compileBlobSchema([{ name: 'a', type: 'float64' }]);
    expect(new Set([one.fingerprint, renamed.fingerprint, retyped.fingerprint]).size).toBe(3);
    const blob = encodeBlob(one, [1], stamp);
    expect(checkBlob(renamed, blob)).toBe('fingerprint');
    expect(blobFingerprint(blob)).toBe(one.fingerprint);
    blob[0] = 2;
    expect(checkBlob(one, blob)).toBe('format');
    expect(blobFingerprint(blob)).toBe(0);
  });

  it('keeps the bytes of format 1: old blobs stay readable', () => {
    const schema = compileBlobSchema([
      { name: 'AGEP', type: 'int64' },
      { name: 'city', type: 'string' },
    ]);
    const blob = encodeBlob(schema, [46, 'é'], { eventTimeMs: 1000, ingestTimeMs: 2000, tieBreak: 3 });
    const header = '01' + blob.subarray(1, 5).toString('hex') + '0000000000408f40' + '0000000000409f40' + '0000000000000840';
    expect(blob.toString('hex')).toBe(`${header}00${'0000000000004740'}02000000c3a9`);
    expect(schema.fingerprint).toBe(664_066_432);
  });

  it('orders by event time, then ingest time, then content', () => {
    const newer = (patch: Partial<RowStamp>): number => Math.sign(compareStamps({ ...stamp, ...patch }, stamp));
    expect(newer({})).toBe(0);
    expect(newer({ eventTimeMs: stamp.eventTimeMs + 1, ingestTimeMs: 0, tieBreak: 0 })).toBe(1);
    expect(newer({ ingestTimeMs: stamp.ingestTimeMs + 0.001, tieBreak: 0 })).toBe(1);
    expect(newer({ tieBreak: 0 })).toBe(-1);
  });
});

describe('keys', () => {
  it('splits what it joined, whatever the values hold', () => {
    const key = fc.oneof(fc.string({ minLength: 1 }), fc.stringMatching(/^[\\|}{:a]+$/));
    fc.assert(
      fc.property(fc.array(key, { minLength: 1, maxLength: 8 }), (values) => {
        expect(splitEntityKey(joinEntityKey(values))).toEqual(values);
      }),
      { seed: 4, numRuns: 500 },
    );
  });

  it('tags the entity, so that all its views share a slot', () => {
    expect(onlineKey('default', 'person', joinEntityKey(['42']), 'census')).toBe('hr:{default/person/42}:census');
    expect(joinEntityKey(['a|b', 'c\\'])).toBe('a\\|b|c\\\\');
  });
});

it('has a mark for an erased entity: newer than every row up to its time, readable by no layout', () => {
  const mark = encodeErased(5_000);
  const schema = compileBlobSchema([{ name: 'a', type: 'int64' }]);
  const row = encodeBlob(schema, [1], { eventTimeMs: 5_000, ingestTimeMs: 9e15, tieBreak: 9e15 });
  expect([isErased(mark), isErased(row), checkBlob(schema, mark)]).toEqual([true, false, 'fingerprint']);
  expect(compareStamps(blobStamp(mark), blobStamp(row))).toBeGreaterThan(0);
  expect(compareStamps(blobStamp(mark), { eventTimeMs: 5_001, ingestTimeMs: 0, tieBreak: 0 })).toBeLessThan(0);
});
