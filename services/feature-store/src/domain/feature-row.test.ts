import { describe, expect, it } from 'vitest';
import { isFault, readRow, type IncomingRow } from './feature-row.js';
import { viewOf } from '../../test/views.js';

const ARRIVED_MS = Date.UTC(2026, 0, 1);
const limits = { futureSkewMs: 300_000, stringLengthMax: 10 };
const view = viewOf({
  joinKeys: ['person_id', 'region'],
  features: [
    { name: 'age', type: 'int64', min: 0, max: 120 },
    { name: 'income', type: 'float64' },
    { name: 'city', type: 'string' },
    { name: 'job', type: 'string', oneOf: ['miner', 'baker'] },
    { name: 'member', type: 'bool' },
    { name: 'since', type: 'timestamp' },
    { name: 'sex', type: 'int64', oneOf: [1, 2] },
    { name: 'code', type: 'int64', nullable: false },
    { name: 'secret', type: 'int64', max: 5, pii: true },
  ],
});

const good: IncomingRow = {
  entity: { person_id: '42', region: 'MA' },
  eventTime: new Date('2016-01-01T00:00:00Z'),
  values: { age: 46, code: 7 },
};
const withValues = (values: Record<string, unknown>): IncomingRow => ({ ...good, values: { ...good.values, ...values } });
const withEntity = (entity: Record<string, unknown>): IncomingRow => ({ ...good, entity });
const at = (eventTime: Date | undefined): IncomingRow => ({ ...good, eventTime });

describe('a row that fits', () => {
  it('becomes values in schema order, missing ones null, with its key joined in the order of the entity', () => {
    const row = readRow(
      view,
      { ...withValues({ since: '2015-06-01T00:00:00.5+02:00', member: false, income: -0 }), entity: { region: 'M|A', person_id: '42' } },
      ARRIVED_MS,
      limits,
    );
    expect(row).toMatchObject({ entityKey: '42|M\\|A', keys: ['42', 'M|A'], eventTimeMs: Date.UTC(2016, 0, 1) });
    expect(isFault(row) ? [] : row.values).toEqual([46, 0, null, null, false, Date.UTC(2015, 4, 31, 22, 0, 0, 500), null, 7, null]);
  });

  it.each([
    ['the largest exact int64', { code: Number.MAX_SAFE_INTEGER }],
    ['a timestamp in epoch milliseconds', { since: 0 }],
    ['an allowed text', { job: 'baker' }],
    ['an allowed code', { sex: 2 }],
    ['a text of the longest length', { city: 'é'.repeat(10) }],
    ['an explicit null', { age: null }],
  ])('may hold %s', (_name, values) => {
    expect(isFault(readRow(view, withValues(values), ARRIVED_MS, limits))).toBe(false);
  });

  it('may lie ahead of its arrival by the allowed skew, and not a millisecond more', () => {
    expect(isFault(readRow(view, at(new Date(ARRIVED_MS + 300_000)), ARRIVED_MS, limits))).toBe(false);
    expect(readRow(view, at(new Date(ARRIVED_MS + 300_001)), ARRIVED_MS, limits)).toMatchObject({
      code: 'ROW_FUTURE_DATED',
      reason: expect.stringContaining('at most 300 s'),
    });
  });
});

describe('a row that does not fit', () => {
  it.each<[string, IncomingRow, RegExp]>([
    ['text for int64', withValues({ age: '46' }), /age is a string; int64 wanted/],
    ['a fraction for int64', withValues({ age: 1.5 }), /age is 1.5; int64 wants a whole number/],
    ['int64 beyond 2^53', withValues({ code: 2 ** 53 }), /beyond 2\^53/],
    ['NaN', withValues({ income: Number.NaN }), /income is NaN; send null/],
    ['infinity', withValues({ income: -Infinity }), /income is -Infinity/],
    ['NaN for int64', withValues({ age: Number.NaN }), /whole number/],
    ['a number for bool', withValues({ member: 1 }), /member is a number; bool wanted/],
    ['an object', withValues({ city: { a: 1 } }), /city is an object/],
    ['a list', withValues({ age: [1] }), /age is a list/],
    ['a lenient date', withValues({ since: 'June 1, 2015' }), /RFC 3339/],
    ['an impossible date', withValues({ since: '2015-13-01T00:00:00Z' }), /RFC 3339/],
    ['a date beyond year 9999', withValues({ since: 9e15 }), /years 1 to 9999/],
    ['a value below its minimum', withValues({ age: -1 }), /below its minimum 0/],
    ['a value above its maximum', withValues({ age: 121 }), /above its maximum 120/],
    ['a code that is not allowed', withValues({ sex: 3 }), /not one of its allowed/],
    ['a text that is not allowed', withValues({ job: 'king' }), /not one of its allowed/],
    ['a text that is too long', withValues({ city: 'x'.repeat(11) }), /11 characters; at most 10/],
    ['a NUL in a text', withValues({ city: 'a\0b' }), /NUL/],
    ['half a surrogate pair', withValues({ city: '\ud800' }), /well-formed/],
    ['null where none is allowed', withValues({ code: null }), /code is missing or null/],
    ['a missing value where one is needed', { ...good, values: { age: 1 } }, /code is missing or null/],
    ['an unknown feature', withValues({ height: 1 }), /"height" is no feature of view v version 1/],
    ['a feature named like a method of Object', withValues({ toString: 1 }), /"toString" is no feature/],
    ['no values at all', { ...good, values: undefined }, /values must be an object/],
    ['values that are a list', { ...good, values: [] as never }, /values must be an object/],
    ['no join keys', withEntity({}), /join key person_id is missing; view v wants person_id, region/],
    ['one join key too few', withEntity({ person_id: '1' }), /join key region is missing/],
    ['one join key too many', withEntity({ person_id: '1', region: 'MA', x: '' }), /"x" is no join key/],
    ['null as a join key', withEntity({ person_id: null, region: 'MA' }), /person_id is null; a text or a whole number wanted/],
    ['a list as a join key', withEntity({ person_id: ['1'], region: 'MA' }), /person_id is \["1"\]/],
    ['an empty join key', withEntity({ person_id: '', region: 'MA' }), /person_id is empty/],
    ['a join key that is too long', withEntity({ person_id: 'x'.repeat(257), region: 'MA' }), /257 characters; at most 256/],
    ['join keys too long for an index', withEntity({ person_id: '\\'.repeat(256), region: '\u4e2d'.repeat(256) }), /more than 1024 bytes/],
    ['a NUL in a join key', withEntity({ person_id: 'a\0', region: 'MA' }), /NUL/],
    ['no event time', at(undefined), /eventTime is missing/],
    ['an event time that is none', at(new Date(Number.NaN)), /eventTime is no timestamp/],
    ['an event time that was a bare number', at(new Date(0)), /unset or numeric/],
    ['an event time before 1900', at(new Date('1899-12-31T23:59:59Z')), /before 1900/],
  ])('is refused for %s', (_name, row, reason) => {
    expect(readRow(view, row, ARRIVED_MS, limits)).toMatchObject({ code: 'ROW_INVALID', reason: expect.stringMatching(reason) });
  });

  it('does not show personal values in its reason', () => {
    expect(readRow(view, withValues({ secret: 123456 }), ARRIVED_MS, limits)).toMatchObject({
      reason: 'secret is (personal, not shown), above its maximum 5',
    });
  });
});

describe('the content hash', () => {
  const hashOf = (v: typeof view, row: IncomingRow): number => {
    const read = readRow(v, row, ARRIVED_MS, limits);
    return isFault(read) ? Number.NaN : read.contentHash;
  };

  it('follows the values and not the entity, the time, or the order in which values come', () => {
    const hash = hashOf(view, good);
    expect(Number.isSafeInteger(hash)).toBe(true);
    expect(hashOf(view, { ...withEntity({ person_id: '1', region: 'x' }), values: { code: 7, age: 46 } })).toBe(hash);
    for (const values of [{ age: 47 }, { age: null }, { member: true }, { city: '' }, { city: 'x' }])
      expect(hashOf(view, withValues(values))).not.toBe(hash);
  });

  it('stays when nullable features are added in the middle', () => {
    const evolved = viewOf({
      joinKeys: ['person_id', 'region'],
      features: [{ name: 'new', type: 'float64' }, ...[...view.spec.features].reverse()],
    });
    expect(hashOf(evolved, good)).toBe(hashOf(view, good));
  });

  it('keeps its value for ever: stored rows are recognised by it', () => {
    expect(hashOf(view, withValues({ city: 'Ω', member: true }))).toBe(2481848614967181); // computed by Python's hashlib
  });
});
