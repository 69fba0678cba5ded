import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { FieldStatus } from '@headrace/contracts/features/v1/features';
import { FeatureRowsPublished } from '@headrace/contracts/events/v1/events';
import type { Clock } from '@headrace/base/clock';
import { CLOCK } from '@headrace/platform/platform-module';
import { eventually } from '@headrace/testkit/eventually';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { DefinitionStore } from '../src/io/definition-store.js';
import { OnlineStore } from '../src/io/online-store.js';
import { startHarness, type Harness } from './harness.js';

const DEFINITIONS = `
kind: Entity
name: person
joinKeys: [person_id, region]
---
kind: FeatureView
name: person
entity: person
features:
  - { name: age, type: int64 }
  - { name: city, type: string }
  - { name: member, type: bool }
---
kind: FeatureView
name: visits
entity: person
features: [{ name: count, type: float64 }, { name: last, type: timestamp }]
---
kind: FeatureView
name: label
entity: person
online: false
features: [{ name: y, type: int64 }]
`;
const FEATURES = ['person:age', 'person:city', 'person:member', 'visits:count', 'visits:last'];

let h: Harness;
beforeAll(async () => {
  h = await startHarness({ ingestBatchEvents: 7 });
  await h.apply(DEFINITIONS);
});
afterAll(() => h.close());

async function read(ids: readonly string[], features = FEATURES): Promise<unknown[]> {
  const { vectors } = await h.client.getOnlineFeatures({
    features,
    entities: ids.map((id) => ({ keys: { person_id: id, region: 'M|A' } })),
  });
  return vectors.map((v) => v.values.map((value, i) => [value, v.statuses[i], v.eventTimes[i]!.toISOString()]));
}

const entity = (id: string): Record<string, string> => ({ person_id: id, region: 'M|A' });
const DAY_MS = 86_400_000;
const dayOf = (day: number): Date => new Date(Date.UTC(2016, 0, 1) + day * DAY_MS);

interface Published {
  readonly view: string;
  readonly arrivedMs: number;
  readonly row: { readonly entity: Record<string, string>; readonly eventTime: Date; readonly values: Record<string, unknown> };
}

/** The slow and obvious way: latest event time, then latest arrival. */
function newest(history: readonly Published[]): Published['row'] {
  return [...history].sort((a, b) => a.row.eventTime.getTime() - b.row.eventTime.getTime() || a.arrivedMs - b.arrivedMs).at(-1)!.row;
}

describe('whatever the order', () => {
  it('every permutation, repetition and failure between the two stores ends in the state of the ordered history', async () => {
    const random = seededRandom(1);
    const firstMs = Date.now() - 3_600_000;
    const histories = Array.from({ length: 60 }, (_, n) =>
      // Few event times and values, so that ties, corrections and returns to an old value are common.
      Array.from({ length: 6 }, (_unused, i): Published => {
        const values = { age: Math.floor(random() * 2), city: random() < 0.5 ? null : 'x', member: random() < 0.5 };
        return {
          view: 'person',
          arrivedMs: firstMs + i,
          row: { entity: entity(`s${n + 1}`), eventTime: dayOf(Math.floor(random() * 3)), values },
        };
      }),
    );
    const write = vi.spyOn(h.service.app.get(OnlineStore), 'write');
    for (let n = 0; n < 20; n++) {
      if (random() < 0.5) write.mockRejectedValueOnce(new AppError('DEPENDENCY_UNAVAILABLE', 'gone between the two stores'));
      await h.sendAt(shuffle([...histories.slice(3 * n, 3 * n + 3), ...histories.slice(3 * n, 3 * n + 3)].flat(), random));
      if (n % 5 === 0) await h.settled();
    }
    await h.settled();
    expect(write.mock.results.filter((r) => r.type === 'return').length).toBeGreaterThan(20);
    write.mockRestore();
    const features = ['person:age', 'person:city', 'person:member'];
    const expected = histories.map((history) => {
      const { values, eventTime } = newest(history);
      return ['age', 'city', 'member'].map((name) => [
        values[name],
        values[name] === null ? FieldStatus.NULL_VALUE : FieldStatus.PRESENT,
        eventTime.toISOString(),
      ]);
    });
    expect(
      await read(
        histories.map((_, n) => `s${n + 1}`),
        features,
      ),
    ).toEqual(expected);
    for (const [n, history] of histories.entries()) {
      expect(await offlineContents(`s${n + 1}`)).toBe(new Set(history.map(({ row }) => JSON.stringify([row.eventTime, row.values]))).size);
    }
    expect(await h.deadLetters()).toEqual([]);
  });

  async function offlineContents(id: string): Promise<number> {
    return (await offlineOf(id)).length;
  }

  it('the online store rebuilt from Postgres reads the same, also after it was emptied', async () => {
    const ids = [...Array.from({ length: 60 }, (_, i) => `s${i + 1}`), 'nobody'];
    const before = await read(ids);
    await h.flushOnline();
    expect(await read(['s1'])).toEqual([FEATURES.map(() => [null, FieldStatus.NOT_FOUND, '1970-01-01T00:00:00.000Z'])]);
    const { views } = await h.client.rebuildOnline({});
    expect(views.map((v) => [v.view, v.entities])).toEqual([
      ['person', 60],
      ['visits', 0],
    ]);
    expect(await read(ids)).toEqual(before);
  });

  it('a rebuild does not undo what came meanwhile', async () => {
    await h.client.publishRows({ view: 'visits', rows: [{ entity: entity('r'), eventTime: dayOf(1), values: { count: 1 } }] });
    await h.flushOnline();
    await h.client.publishRows({ view: 'visits', rows: [{ entity: entity('r'), eventTime: dayOf(2), values: { count: 2 } }] });
    await h.client.rebuildOnline({ view: 'visits' });
    expect((await read(['r'], ['visits:count']))[0]).toEqual([[2, FieldStatus.PRESENT, dayOf(2).toISOString()]]);
  });
});

describe('events over Kafka', () => {
  it('in JSON and in protobuf give the same rows, and a repeated event changes nothing', async () => {
    const values = { age: 46, city: 'é', member: true };
    const json = { project: 'default', view: 'person', rows: [{ entity: entity('j'), eventTime: '2016-03-01T00:00:00Z', values }] };
    const protobuf = FeatureRowsPublished.encode({
      project: '',
      view: 'person',
      rows: [{ entity: entity('p'), eventTime: new Date('2016-03-01T00:00:00Z'), values }],
    }).finish();
    for (let n = 0; n < 3; n++) {
      await h.send(JSON.stringify(json));
      await h.send(protobuf, 'application/protobuf');
    }
    await h.settled();
    const [j, p] = await read(['j', 'p']);
    expect(j).toEqual(p);
    expect((j as unknown[][]).map(([value]) => value)).toEqual([46, 'é', true, null, null]);
    expect([(await offlineOf('j')).length, (await offlineOf('p')).length]).toEqual([1, 1]);
  });

  it('a correction and its withdrawal both count: the newest arrival wins for one event time', async () => {
    const send = (age: number): Promise<void> =>
      h.sendRows('person', [{ entity: entity('c'), eventTime: '2016-03-01T00:00:00Z', values: { age } }]);
    for (const age of [5, 6, 5]) {
      await send(age);
      await h.settled();
    }
    expect((await read(['c'], ['person:age']))[0]).toEqual([[5, FieldStatus.PRESENT, '2016-03-01T00:00:00.000Z']]);
    await send(7);
    await h.sendRows('person', [{ entity: entity('c'), eventTime: '2016-02-01T00:00:00Z', values: { age: 99 } }]); // late
    await h.settled();
    expect((await read(['c'], ['person:age']))[0]).toEqual([[7, FieldStatus.PRESENT, '2016-03-01T00:00:00.000Z']]);
    expect(await offlineOf('c')).toHaveLength(4);
  });

  it('that come while the service is down or restarting are all there afterwards, once', async () => {
    const ids = Array.from({ length: 400 }, (_, i) => `k${i}`);
    const publish = (part: readonly string[]): Promise<void[]> =>
      Promise.all(
        part.map((id, i) =>
          h.send(
            JSON.stringify({ view: 'visits', rows: [{ entity: entity(id), eventTime: dayOf(1), values: { count: i } }] }),
            undefined,
            id,
          ),
        ),
      );
    const rows = await h.offlineRows('visits');
    await h.stop();
    await publish(ids.slice(0, 200));
    await h.start();
    const flowing = publish(ids.slice(200));
    await h.restart();
    await flowing;
    await publish(ids.slice(0, 200)); // and again
    await h.settled();
    expect(await h.offlineRows('visits')).toBe(rows + 400);
    const counts = (await read(ids, ['visits:count'])).map((vector) => (vector as [number][])[0]![0]);
    expect(counts).toEqual(ids.map((_, i) => i % 200));
  });
});

describe('while a store is away', () => {
  it('events wait, none is dead-lettered, and both stores have them once it is back', async () => {
    const online = h.service.app.get(OnlineStore);
    const away = vi.spyOn(online, 'write').mockRejectedValue(new AppError('DEPENDENCY_UNAVAILABLE', 'Redis is away'));
    await h.sendRows('visits', [{ entity: entity('w'), eventTime: '2016-03-01T00:00:00Z', values: { count: 9 } }]);
    await eventually('several tries were made', () => away.mock.calls.length >= 4);
    expect((await read(['w'], ['visits:count']))[0]).toEqual([[null, FieldStatus.NOT_FOUND, '1970-01-01T00:00:00.000Z']]);
    away.mockRestore();
    await h.settled();
    expect((await read(['w'], ['visits:count']))[0]).toEqual([[9, FieldStatus.PRESENT, '2016-03-01T00:00:00.000Z']]);
    expect(await h.deadLetters()).toEqual([]);
  });

  it('online reads of known views go on without Postgres', async () => {
    await h.client.publishRows({ view: 'visits', rows: [{ entity: entity('q'), eventTime: dayOf(1), values: { count: 4 } }] });
    const away = vi
      .spyOn(h.service.app.get(DefinitionStore), 'epoch')
      .mockRejectedValue(new AppError('DEPENDENCY_UNAVAILABLE', 'Postgres is away'));
    const clock = h.service.app.get<Clock>(CLOCK);
    const later = vi.spyOn(clock, 'nowMs').mockReturnValue(Date.now() + 60_000);
    expect((await read(['q'], ['visits:count']))[0]).toEqual([[4, FieldStatus.PRESENT, dayOf(1).toISOString()]]);
    expect(away).toHaveBeenCalled();
    await expect(read(['q'], ['ghost:a'])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    away.mockRestore();
    later.mockRestore();
  });
});

describe('online reads', () => {
  it('refuse what cannot be answered, in words', async () => {
    const ask = (features: string[], keys: Record<string, string> = entity('x')) =>
      h.client.getOnlineFeatures({ features, entities: [{ keys }] });
    await expect(ask(['ghost:a'])).rejects.toMatchObject({ code: 'VIEW_UNKNOWN' });
    await expect(ask(['person:height'])).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining('has no feature height'),
    });
    await expect(ask(['label:y'])).rejects.toMatchObject({ code: 'REQUEST_INVALID', message: expect.stringContaining('offline only') });
    await expect(ask(['person'])).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(ask([])).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(ask(['person:age'], { person_id: '1' })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining('lacks the join key region'),
    });
  });

  it('take a corrupt value for a missing one, count it, and the next row mends it', async () => {
    await h.client.publishRows({ view: 'visits', rows: [{ entity: entity('z'), eventTime: dayOf(3), values: { count: 3 } }] });
    const redis = new Redis(h.redisUrl);
    const key = 'hr:{default/person/z|M\\|A}:visits';
    const good = await redis.getBuffer(key);
    expect(good).not.toBeNull();
    await redis.set(key, good!.subarray(0, 20));
    expect((await read(['z'], ['visits:count']))[0]).toEqual([[null, FieldStatus.NOT_FOUND, '1970-01-01T00:00:00.000Z']]);
    expect(await (await fetch(`${h.service.httpUrl}/metrics`)).text()).toMatch(/online_unreadable_total\{view="visits"[^}]*\} 1/);
    await h.client.publishRows({ view: 'visits', rows: [{ entity: entity('z'), eventTime: dayOf(2), values: { count: 2 } }] });
    expect((await read(['z'], ['visits:count']))[0]).toEqual([[2, FieldStatus.PRESENT, dayOf(2).toISOString()]]);
    redis.disconnect();
  });

  it('answer in the shape of Feast over HTTP', async () => {
    await h.client.publishRows({
      view: 'visits',
      rows: [{ entity: { person_id: '1', region: '7' }, eventTime: dayOf(3), values: { count: 3 } }],
    });
    const post = (body: object): Promise<Response> =>
      fetch(`${h.service.httpUrl}/get-online-features`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const answer = await post({ features: ['visits:count'], entities: { person_id: [1, '2'], region: ['7', '7'] } });
    expect(await answer.json()).toEqual({
      metadata: { feature_names: ['person_id', 'region', 'count'] },
      results: [
        {
          values: [1, '2'],
          statuses: ['PRESENT', 'PRESENT'],
          event_timestamps: ['1970-01-01T00:00:00.000Z', '1970-01-01T00:00:00.000Z'],
        },
        {
          values: ['7', '7'],
          statuses: ['PRESENT', 'PRESENT'],
          event_timestamps: ['1970-01-01T00:00:00.000Z', '1970-01-01T00:00:00.000Z'],
        },
        { values: [3, null], statuses: ['PRESENT', 'NOT_FOUND'], event_timestamps: [dayOf(3).toISOString(), '1970-01-01T00:00:00.000Z'] },
      ],
    });
    const refused = await post({ features: ['visits:count'], entities: { person_id: ['1', '2'], region: ['7'] } });
    expect([refused.status, await refused.json()]).toEqual([400, expect.objectContaining({ code: 'REQUEST_INVALID' })]);
  });
});

/** Rows of one entity as they lie in the offline store. */
async function offlineOf(id: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: h.postgresUrl });
  await client.connect();
  try {
    const [view] = (await client.query<{ id: number }>("SELECT id FROM views WHERE name = 'person'")).rows;
    return (await client.query(`SELECT * FROM view_rows_${view!.id} WHERE _key_0 = $1`, [id])).rows;
  } finally {
    await client.end();
  }
}

function shuffle<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}
