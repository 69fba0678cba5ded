import { Destination, FieldStatus, RowVerdict } from '@headrace/contracts/features/v1/features';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHarness, type Harness } from './harness.js';

const DEFINITIONS = `
kind: Entity
name: person
joinKeys: [person_id]
---
kind: FeatureView
name: person
entity: person
features:
  - { name: age, type: int64, max: 120 }
  - { name: city, type: string }
`;

let h: Harness;
beforeAll(async () => {
  h = await startHarness();
  await h.apply(DEFINITIONS);
});
afterAll(() => h.close());

const JANUARY = new Date('2016-01-01T00:00:00Z');
const row = (id: string, age: number, eventTime = JANUARY) => ({ entity: { person_id: id }, eventTime, values: { age } });

async function ageOf(id: string): Promise<unknown> {
  const { vectors } = await h.client.getOnlineFeatures({ features: ['person:age'], entities: [{ keys: { person_id: id } }] });
  return vectors[0]!.statuses[0] === FieldStatus.PRESENT ? vectors[0]!.values[0] : vectors[0]!.statuses[0];
}

function post(path: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${h.service.httpUrl}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
}

describe('a push', () => {
  it('says of each row whether it was new, there already or refused, and changes nothing when it is sent again', async () => {
    const rows = [row('a', 1), row('b', 200), row('a', 1), row('c', 3)];
    const first = await h.client.publishRows({ view: 'person', rows });
    const { ACCEPTED, DUPLICATE, REFUSED } = RowVerdict;
    expect([first.accepted, first.duplicates, first.verdicts]).toEqual([3, 1, [ACCEPTED, REFUSED, DUPLICATE, ACCEPTED]]);
    const stored = await h.offlineRows('person');
    const again = await h.client.publishRows({ view: 'person', rows: [...rows, row('d', 4)] });
    expect([again.accepted, again.duplicates, again.verdicts]).toEqual([4, 3, [DUPLICATE, REFUSED, DUPLICATE, DUPLICATE, ACCEPTED]]);
    expect(await h.offlineRows('person')).toBe(stored + 1);
    expect([await ageOf('a'), await ageOf('b'), await ageOf('c')]).toEqual([1, FieldStatus.NOT_FOUND, 3]);
  });

  it('over HTTP takes the JSON of the topic', async () => {
    const rows = [
      { entity: { person_id: 7 }, eventTime: '2016-01-01T00:00:00Z', values: { age: 7 } },
      { entity: { person_id: '8' }, eventTime: 1451606400, values: { age: 8 } },
    ];
    const answer = await post('/rows', { view: 'person', rows });
    expect([answer.status, await answer.json()]).toEqual([
      200,
      {
        accepted: 1,
        duplicates: 0,
        verdicts: ['accepted', 'refused'],
        rejected: [{ row: 1, code: 'ROW_INVALID', reason: 'eventTime is no timestamp; send RFC 3339, such as 2016-01-01T00:00:00Z' }],
      },
    ]);
    expect(await ageOf('7')).toBe(7);
    const refused = await post('/rows', { view: 'ghost', rows });
    expect([refused.status, await refused.json()]).toEqual([404, expect.objectContaining({ code: 'VIEW_UNKNOWN' })]);
    expect((await post('/rows', { view: 'person', rows, to: 'moon' })).status).toBe(400);
  });

  it('goes to the stores that it names', async () => {
    const stored = await h.offlineRows('person');
    await h.client.publishRows({ view: 'person', rows: [row('on', 1)], to: Destination.ONLINE });
    expect([await ageOf('on'), await h.offlineRows('person')]).toEqual([1, stored]);
    await h.client.publishRows({ view: 'person', rows: [row('off', 2)], to: Destination.OFFLINE });
    expect([await ageOf('off'), await h.offlineRows('person')]).toEqual([FieldStatus.NOT_FOUND, stored + 1]);
    await h.client.rebuildOnline({ view: 'person' });
    expect([await ageOf('on'), await ageOf('off')]).toEqual([1, 2]);
  });

  it('never lets an older row of any door replace a newer one online', async () => {
    await h.client.publishRows({ view: 'person', rows: [row('n', 2, new Date('2016-02-01T00:00:00Z'))], to: Destination.ONLINE });
    await h.client.publishRows({ view: 'person', rows: [row('n', 1)] });
    expect(await ageOf('n')).toBe(2);
  });
});

describe("Feast's doors", () => {
  it('take a frame by column, with times in UTC without a zone', async () => {
    const stored = await h.offlineRows('person');
    const df = {
      person_id: [21, '22'],
      event_timestamp: ['2016-01-01T00:00:00', '2016-01-02 00:00:00.5'],
      created: [null, null],
      age: [1, 2],
      city: [null, 'x'],
    };
    const answer = await post('/write-to-online-store', { feature_view_name: 'person', df, allow_registry_cache: false });
    expect([answer.status, await answer.text()]).toEqual([200, 'null']);
    expect([await ageOf('21'), await ageOf('22'), await h.offlineRows('person')]).toEqual([1, 2, stored + 2]);
  });

  it('store the good rows of a frame and name the others', async () => {
    const df = { person_id: ['31', '32'], event_timestamp: ['2016-01-01T00:00:00', '2016-01-01T00:00:00'], age: [31, 132] };
    const answer = await post('/push', { push_source_name: 'person', df, to: 'online_and_offline' });
    expect([answer.status, await answer.json()]).toEqual([
      400,
      expect.objectContaining({
        code: 'ROW_INVALID',
        detail: '1 rows were refused, the others are stored: row 1: age is 132, above its maximum 120',
      }),
    ]);
    expect([await ageOf('31'), await ageOf('32')]).toEqual([31, FieldStatus.NOT_FOUND]);
  });

  it('push to the online store alone unless told otherwise, as Feast does', async () => {
    const stored = await h.offlineRows('person');
    const df = { person_id: ['41'], event_timestamp: ['2016-01-01T00:00:00'], age: [41] };
    expect((await post('/push', { push_source_name: 'person', df })).status).toBe(200);
    expect([await ageOf('41'), await h.offlineRows('person')]).toEqual([41, stored]);
  });

  it('refuse a frame of unequal columns, without times, or of an unknown view', async () => {
    const unequal = { person_id: ['1', '2'], event_timestamp: ['2016-01-01T00:00:00'], age: [1] };
    expect((await post('/push', { push_source_name: 'person', df: unequal })).status).toBe(400);
    expect((await post('/push', { push_source_name: 'person', df: { person_id: ['1'], age: [1] } })).status).toBe(400);
    expect((await post('/push', { push_source_name: 'ghost', df: unequal })).status).toBe(404);
  });
});
