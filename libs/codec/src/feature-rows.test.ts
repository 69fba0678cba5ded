import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { FeatureRowsPublished } from '@headrace/contracts/events/v1/events';
import { describe, expect, it } from 'vitest';
import { encodeFeatureRows, FeatureRowsDecoder, type FeatureRowsMessage } from './feature-rows.js';
import { ProtoWriter } from './writer.js';

type Random = () => number;
const NAMES = ['age', 'income', 'städt', '', 'a_name_that_is_longer_than_its_neighbours', '7', 'x'.repeat(140)];

function randomValue(random: Random, depth = 0): unknown {
  const kind = Math.floor(random() * (depth < 3 ? 9 : 7));
  if (kind === 0) return null;
  if (kind === 1) return random() < 0.5;
  if (kind === 2) return ['', 'tägl', '日'.repeat(50), 'x'.repeat(Math.floor(random() * 300))][Math.floor(random() * 4)];
  if (kind === 7) return Array.from({ length: Math.floor(random() * 4) }, () => randomValue(random, depth + 1));
  if (kind === 8) return randomValues(random, depth + 1);
  return [0, -0, Number.NaN, Infinity, -1.5, 2 ** 53, Math.floor(random() * 1000), random()][Math.floor(random() * 8)];
}

/** Mostly all names in one order, sometimes some of them, sometimes in another order. */
function randomValues(random: Random, depth = 0): Record<string, unknown> {
  const names = random() < 0.7 ? NAMES : NAMES.filter(() => random() < 0.5);
  const ordered = random() < 0.2 ? names.toReversed() : names;
  return Object.fromEntries(ordered.map((name) => [name, randomValue(random, depth)]));
}

function randomMessage(random: Random): FeatureRowsMessage {
  return {
    project: random() < 0.5 ? '' : 'p',
    view: random() < 0.2 ? '' : 'view',
    rows: Array.from({ length: Math.floor(random() * 8) }, () => ({
      entity: random() < 0.1 ? {} : { person_id: `p${Math.floor(random() * 99)}`, ...(random() < 0.2 ? { '': '', zoné: 'ü' } : {}) },
      eventTime: random() < 0.1 ? undefined : new Date(Math.floor((random() - 0.2) * 2e12)),
      values: random() < 0.1 ? undefined : randomValues(random),
    })),
  };
}

const decoder = new FeatureRowsDecoder();

/** As ts-proto would have built it. */
function decode(bytes: Uint8Array): FeatureRowsPublished {
  const { project, view, rows } = decoder.decode(bytes);
  return {
    project,
    view,
    rows: rows.map(({ entity, eventTime, values }) => ({ entity, eventTime, values })) as FeatureRowsPublished['rows'],
  };
}

const row = (...parts: number[][]): number[] => field(0x1a, parts.flat());
const field = (tag: number, content: number[]): number[] => [tag, content.length, ...content];
const text = (tag: number, content: string): number[] => field(tag, [...Buffer.from(content)]);
const entry = (name: string, value: number[]): number[] => field(0x0a, [...text(0x0a, name), ...field(0x12, value)]);
const DOUBLE_2 = [0x11, 0, 0, 0, 0, 0, 0, 0, 0x40];

describe('feature rows codec', () => {
  it('writes the bytes of ts-proto and reads what ts-proto reads (seeded)', () => {
    const random = seededRandom(5);
    const writer = new ProtoWriter(8);
    for (let i = 0; i < 600; i++) {
      const message = randomMessage(random);
      encodeFeatureRows(message, writer.reset());
      const bytes = writer.finish();
      expect(Buffer.from(bytes).equals(FeatureRowsPublished.encode(message as FeatureRowsPublished).finish())).toBe(true);
      expect(decode(bytes)).toEqual(FeatureRowsPublished.decode(bytes));
      // Somewhere inside of a larger buffer, as a record of a fetch lies.
      const framed = Buffer.concat([Buffer.alloc(3), bytes, Buffer.alloc(5, 0xff)]).subarray(3, 3 + bytes.length);
      expect(decode(framed)).toEqual(FeatureRowsPublished.decode(bytes));
    }
  });

  it('reads a cut message as ts-proto does or refuses it, at every byte', () => {
    const writer = new ProtoWriter();
    const random = seededRandom(11);
    for (let i = 0; i < 6; i++) {
      encodeFeatureRows(randomMessage(random), writer.reset());
      const bytes = writer.finish();
      for (let end = 0; end < bytes.length; end++) {
        const cut = bytes.slice(0, end);
        let read: FeatureRowsPublished;
        try {
          read = decode(cut);
        } catch (error) {
          expect((error as AppError).code).toBe('REQUEST_INVALID');
          continue;
        }
        expect(read).toEqual(FeatureRowsPublished.decode(cut));
      }
    }
  });

  it('survives any single changed byte: a coded refusal or a result, and the next message is read right', () => {
    const random = seededRandom(12);
    const writer = new ProtoWriter();
    const message = { ...randomMessage(random), rows: [...randomMessage(random).rows, ...randomMessage(random).rows] };
    encodeFeatureRows(message, writer);
    const good = writer.finish();
    for (let i = 0; i < 4000; i++) {
      const bad = Uint8Array.from(good);
      bad[Math.floor(random() * bad.length)] = Math.floor(random() * 256);
      try {
        decode(bad);
      } catch (error) {
        expect((error as AppError).code).toBe('REQUEST_INVALID');
      }
    }
    expect(decode(good)).toEqual(FeatureRowsPublished.decode(good));
  });

  it.each<[string, number[]]>([
    ['a name that comes twice', row(field(0x1a, [...entry('a', DOUBLE_2), ...entry('b', [0x20, 1]), ...entry('a', [0x08, 0])]))],
    [
      'a join key that comes twice',
      row(field(0x0a, [...text(0x0a, 'k'), ...text(0x12, '1')]), field(0x0a, [...text(0x0a, 'k'), ...text(0x12, '2')])),
    ],
    ['a value of two kinds', row(field(0x1a, entry('a', [...DOUBLE_2, 0x20, 1])))],
    ['an empty value', row(field(0x1a, entry('a', [])))],
    ['an entry without a value', row(field(0x1a, field(0x0a, text(0x0a, 'a'))))],
    ['an empty join key entry', row([0x0a, 0])],
    ['parts of an entry in the other order', row(field(0x1a, field(0x0a, [...field(0x12, DOUBLE_2), ...text(0x0a, 'a')])))],
    [
      'unknown fields on each level',
      [
        0x78,
        1,
        ...row([0x78, 1], field(0x1a, [0x78, 1, ...field(0x0a, [...text(0x0a, 'a'), 0x78, 1, ...field(0x12, [...DOUBLE_2, 0x78, 1])])])),
      ],
    ],
    ['known fields of another wire type', [0x08, 1, ...row([0x08, 1], field(0x1a, field(0x0a, [...text(0x0a, 'a'), 0x10, 1])))]],
    ['values that come twice', row(field(0x1a, entry('a', DOUBLE_2)), field(0x1a, entry('b', DOUBLE_2)))],
    [
      'a row that leaves names out',
      [
        ...row(field(0x1a, [...entry('a', DOUBLE_2), ...entry('b', DOUBLE_2), ...entry('c', DOUBLE_2)])),
        ...row(field(0x1a, entry('c', DOUBLE_2))),
        ...row(field(0x1a, entry('a', DOUBLE_2))),
        ...row(),
      ],
    ],
    ['a time beyond what a Date holds', row(field(0x12, [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]))],
  ])('reads %s as ts-proto does', (_name, bytes) => {
    expect(decode(Uint8Array.from(bytes))).toEqual(FeatureRowsPublished.decode(Uint8Array.from(bytes)));
  });

  it.each<[string, number[]]>([
    ['a hostile length', [0x1a, 0xff, 0xff, 0xff, 0xff, 0x07]],
    ['an entry beyond its row', row([0x0a, 9, 0x0a, 1, 0x61])],
    ['a value beyond its entry', row(field(0x1a, field(0x0a, [...text(0x0a, 'a'), 0x12, 9, 0x11])))],
    ['text that is not UTF-8', row(field(0x1a, entry('a', [0x1a, 1, 0xff])))],
    ['a name that is not UTF-8', row(field(0x1a, entry('a', DOUBLE_2).with(4, 0xff)))],
    ['seconds beyond 2^53', row(field(0x12, [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]))],
    ['field number 0', [0]],
    ['deep groups', new Array<number>(150).fill(0x7b)],
  ])('refuses %s', (_name, bytes) => {
    expect(() => decode(Uint8Array.from(bytes))).toThrow(AppError);
  });

  it('refuses lists nested deeper than a hundred levels', () => {
    const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)]);
    const bytesOf = (levels: number): Uint8Array => {
      const writer = new ProtoWriter();
      encodeFeatureRows({ project: '', view: 'v', rows: [{ entity: {}, eventTime: undefined, values: { a: nested(levels) } }] }, writer);
      return writer.finish();
    };
    expect(decode(bytesOf(40)).rows[0]!.values).toEqual({ a: nested(40) });
    expect(() => decode(bytesOf(60))).toThrow(/nesting/);
  });

  it('keeps `__proto__` a name like any other', () => {
    const [read] = decode(Uint8Array.from(row(field(0x1a, entry('__proto__', DOUBLE_2))))).rows;
    expect(Object.entries(read!.values!)).toEqual([['__proto__', 2]]);
  });

  it('holds no more values than bytes when rows share few of many names', () => {
    const wide = Array.from({ length: 500 }, (_, i) => entry(`n${i}`, [0x08, 0])).flat();
    const struct = [0x1a, (wide.length & 0x7f) | 0x80, wide.length >> 7, ...wide];
    const first = [0x1a, (struct.length & 0x7f) | 0x80, struct.length >> 7, ...struct];
    const { rows } = decoder.decode(Uint8Array.from([...first, ...row(field(0x1a, entry('n499', [0x08, 0]))), ...row()]));
    expect(rows[0]!.features!.values).toHaveLength(500);
    expect(rows[1]!.features!.values.length).toBeLessThan(20);
    expect(rows[1]!.values).toEqual({ n499: null });
    expect(rows[2]!.values).toBeUndefined();
  });
});
