import { FeatureRowsPublished } from '@headrace/contracts/events/v1/events';
import { FieldStatus } from '@headrace/contracts/features/v1/features';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHarness, type DeadLetter, type Harness } from './harness.js';

const DEFINITIONS = `
kind: Entity
name: person
joinKeys: [person_id]
---
kind: FeatureView
name: person
entity: person
features:
  - { name: age, type: int64, min: 0, max: 120 }
  - { name: income, type: float64 }
  - { name: city, type: string }
  - { name: sex, type: int64, oneOf: [1, 2] }
  - { name: code, type: int64, nullable: false }
`;

let h: Harness;
beforeAll(async () => {
  h = await startHarness({ stringLengthMax: 100, eventBytesMax: 20_000, eventRowsMax: 50 });
  await h.apply(DEFINITIONS);
});
afterAll(() => h.close());

let nextId = 0;
const row = (id: string, values: object, more: object = {}): object => ({
  entity: { person_id: id },
  eventTime: '2016-01-01T00:00:00Z',
  values: { code: 1, ...values },
  ...more,
});

async function ageOf(id: string): Promise<unknown> {
  const { vectors } = await h.client.getOnlineFeatures({ features: ['person:age'], entities: [{ keys: { person_id: id } }] });
  return vectors[0]!.statuses[0] === FieldStatus.PRESENT ? vectors[0]!.values[0] : vectors[0]!.statuses[0]!.replace('FIELD_STATUS_', '');
}

/** Sends one bad thing and waits; what is new in the dead letters comes back. */
async function lettersAfter(send: () => Promise<void>): Promise<DeadLetter[]> {
  const before = (await h.deadLetters()).length;
  await send();
  await h.settled();
  return (await h.deadLetters()).slice(before);
}

describe('a bad row', () => {
  it.each<[string, object, string, RegExp]>([
    ['of a wrong type', row('bad', { age: '46' }), 'ROW_INVALID', /^row 1: age is a string; int64 wanted$/],
    ['with a value out of range', row('bad', { age: 121 }), 'ROW_INVALID', /above its maximum 120/],
    ['with a code that is not allowed', row('bad', { sex: 3 }), 'ROW_INVALID', /not one of its allowed/],
    ['with null where none may be', row('bad', { code: null }), 'ROW_INVALID', /code is missing or null/],
    ['with int64 beyond 2^53', row('bad', { code: 2 ** 60 }), 'ROW_INVALID', /beyond 2\^53/],
    ['with a text that is too long', row('bad', { city: 'x'.repeat(101) }), 'ROW_INVALID', /101 characters; at most 100/],
    ['with an unknown feature', row('bad', { height: 1 }), 'ROW_INVALID', /"height" is no feature/],
    ['without its join key', row('bad', {}, { entity: {} }), 'ROW_INVALID', /join key person_id is missing/],
    ['with a join key too many', row('bad', {}, { entity: { person_id: 'bad', x: '1' } }), 'ROW_INVALID', /"x" is no join key/],
    ['without event time', row('bad', {}, { eventTime: undefined }), 'ROW_INVALID', /eventTime is missing/],
    ['with an event time that is none', row('bad', {}, { eventTime: 'yesterday' }), 'ROW_INVALID', /eventTime is no timestamp/],
    [
      'with a bare number as event time',
      row('bad', {}, { eventTime: 1451606400000 }),
      'ROW_INVALID',
      /eventTime is no timestamp; send RFC 3339/,
    ],
    [
      'with a time of no zone',
      row('bad', {}, { eventTime: '2016-01-01T00:00:00' }),
      'ROW_INVALID',
      /eventTime is no timestamp; send RFC 3339/,
    ],
    ['with null as join key', row('bad', {}, { entity: { person_id: null } }), 'ROW_INVALID', /join key person_id is null/],
    [
      'dated in the future',
      row('bad', {}, { eventTime: new Date(Date.now() + 3_600_000).toISOString() }),
      'ROW_FUTURE_DATED',
      /ahead of its arrival/,
    ],
    ['without values', row('bad', {}, { values: undefined }), 'ROW_INVALID', /values must be an object/],
  ])('%s goes to the dead letter alone, its neighbours are stored', async (_name, bad, code, reason) => {
    const [before, after] = [`n${nextId++}`, `n${nextId++}`];
    const stored = await h.offlineRows('person');
    const letters = await lettersAfter(() => h.sendRows('person', [row(before, { age: 30 }), bad, row(after, { age: 31 })]));
    expect(letters).toEqual([{ code, reason: expect.stringMatching(reason), value: expect.any(String), contentType: 'application/json' }]);
    expect(JSON.parse(letters[0]!.value)).toMatchObject({ project: 'default', view: 'person', rows: [{}] });
    expect([await ageOf(before), await ageOf(after), await ageOf('bad')]).toEqual([30, 31, 'NOT_FOUND']);
    expect(await h.offlineRows('person')).toBe(stored + 2);
  });

  it('with NaN or infinity in protobuf goes to the dead letter alone too', async () => {
    const entity = { person_id: 'p' };
    const eventTime = new Date('2016-01-01T00:00:00Z');
    const rows = [Number.NaN, Infinity, 1.5].map((income, i) => ({
      entity: { person_id: `p${i}` },
      eventTime,
      values: { code: 1, age: 40 + i, income },
    }));
    const event = FeatureRowsPublished.encode({
      project: 'default',
      view: 'person',
      rows: [...rows, { entity, eventTime, values: { code: 1, age: 50 } }],
    }).finish();
    const letters = await lettersAfter(() => h.send(event, 'application/protobuf'));
    expect(letters.map((l) => [l.code, l.reason])).toEqual([
      ['ROW_INVALID', 'row 0: income is NaN; send null for a missing number'],
      ['ROW_INVALID', 'row 1: income is Infinity; send null for a missing number'],
    ]);
    expect([await ageOf('p0'), await ageOf('p1'), await ageOf('p2'), await ageOf('p')]).toEqual(['NOT_FOUND', 'NOT_FOUND', 42, 50]);
  });
});

describe('a bad event', () => {
  it.each<[string, string, string, RegExp]>([
    [
      'of an unknown view',
      JSON.stringify({ view: 'ghost', rows: [row('bad', {})] }),
      'VIEW_UNKNOWN',
      /view "ghost" is not defined in project default/,
    ],
    ['of another project', JSON.stringify({ project: 'other', view: 'person', rows: [row('bad', {})] }), 'VIEW_UNKNOWN', /project other/],
    ['without rows', JSON.stringify({ view: 'person' }), 'EVENT_MALFORMED', /no rows for view person/],
    ['that is broken JSON', '{"view":"person","rows":[', 'EVENT_MALFORMED', /not a valid application\/json/],
    [
      'with too many rows',
      JSON.stringify({ view: 'person', rows: Array.from({ length: 51 }, () => row('bad', {})) }),
      'MESSAGE_TOO_LARGE',
      /51 rows .* at most 50/,
    ],
    [
      'with too many bytes',
      JSON.stringify({ view: 'person', rows: [row('bad', { city: 'x'.repeat(20_000) })] }),
      'MESSAGE_TOO_LARGE',
      /at most 20000 are allowed/,
    ],
  ])('%s goes to the dead letter whole, with its bytes, and the events around it are stored', async (_name, body, code, reason) => {
    const [before, after] = [`n${nextId++}`, `n${nextId++}`];
    const letters = await lettersAfter(async () => {
      await h.sendRows('person', [row(before, { age: 30 })]);
      await h.send(body);
      await h.sendRows('person', [row(after, { age: 31 })]);
    });
    expect(letters).toEqual([{ code, reason: expect.stringMatching(reason), value: body, contentType: expect.any(String) }]);
    expect([await ageOf(before), await ageOf(after), await ageOf('bad')]).toEqual([30, 31, 'NOT_FOUND']);
  });

  it('that is truncated protobuf goes to the dead letter', async () => {
    const letters = await lettersAfter(() => h.send(Buffer.from('\n\x10abc', 'latin1'), 'application/protobuf'));
    expect(letters.map((l) => l.code)).toEqual(['EVENT_MALFORMED']);
  });
});

describe('a push', () => {
  it('stores good rows and answers the bad ones by position', async () => {
    const eventTime = new Date('2016-01-01T00:00:00Z');
    const rows = [1, 999, 3].map((age, i) => ({ entity: { person_id: `push${i}` }, eventTime, values: { age, code: 1 } }));
    const answer = await h.client.publishRows({ view: 'person', rows });
    expect([answer.accepted, answer.rejected]).toEqual([2, [{ row: 1, code: 'ROW_INVALID', reason: 'age is 999, above its maximum 120' }]]);
    expect([await ageOf('push0'), await ageOf('push1'), await ageOf('push2')]).toEqual([1, 'NOT_FOUND', 3]);
  });

  it.each<[string, { view: string; rows: object[] }, string]>([
    ['an unknown view', { view: 'ghost', rows: [{ entity: { person_id: 'x' } }] }, 'VIEW_UNKNOWN'],
    ['no rows', { view: 'person', rows: [] }, 'EVENT_MALFORMED'],
    ['too many rows', { view: 'person', rows: Array.from({ length: 51 }, () => ({})) }, 'MESSAGE_TOO_LARGE'],
  ])('with %s is refused', async (_name, { view, rows }, code) => {
    await expect(h.client.publishRows({ view, rows: rows as never })).rejects.toMatchObject({ code });
  });
});

it('counts rows by outcome', async () => {
  const text = await (await fetch(`${h.service.httpUrl}/metrics`)).text();
  expect(text).toMatch(/headrace_feature_store_rows_total\{view="person",outcome="accepted",service="feature-store"\} \d+/);
  expect(text).toMatch(/headrace_feature_store_rows_total\{view="person",outcome="ROW_FUTURE_DATED",service="feature-store"\} 1/);
  expect(text).toMatch(/headrace_feature_store_rows_total\{view="unknown",outcome="VIEW_UNKNOWN",service="feature-store"\} 3/);
  expect(text).toMatch(/headrace_feature_store_freshness_seconds_count\{[^}]*view="person"[^}]*\} \d+/);
});
