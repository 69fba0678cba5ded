import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { eventually } from '@headrace/testkit/eventually';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { OnlineStore } from '../src/io/online-store.js';
import { VectorStore } from '../src/io/vector-store.js';
import { startHarness, type Harness } from './harness.js';

const SCENARIOS = 1_000;
const VIEWS = ['profile', 'orders', 'visits'] as const;
const DEFINITIONS = `
kind: Entity
name: person
joinKeys: [person_id]
---
kind: FeatureView
name: profile
entity: person
ttl: 30d
features:
  - { name: age, type: int64 }
  - { name: city, type: string }
---
kind: FeatureView
name: orders
entity: person
features:
  - { name: amount, type: float64 }
  - { name: member, type: bool }
---
kind: FeatureView
name: visits
entity: person
ttl: 10d
features: [{ name: count, type: int64 }]
`;
const service = (features: string, more = 'precomputed: true'): string =>
  `kind: FeatureService\nname: scoring\nfeatures: [${features}]\n${more}\n`;
const ALL = 'orders, { view: profile, feature: city, as: town }, profile:age, visits';
const ALL_NAMES = ['amount', 'member', 'town', 'age', 'count'];
const FEATURES = ['orders:amount', 'orders:member', 'profile:city', 'profile:age', 'visits:count'];
const DAY_MS = 86_400_000;

let h: Harness;
let redis: Redis;
beforeAll(async () => {
  h = await startHarness();
  redis = new Redis(h.redisUrl);
  await h.apply(`${DEFINITIONS}---\n${service(ALL)}`);
});
afterAll(async () => {
  redis.disconnect();
  await h.close();
});

type Row = { readonly view: (typeof VIEWS)[number]; readonly entity: string; readonly eventTime: Date; readonly values: object };

function historyOf(entity: string, random: () => number, now: number): Row[] {
  const maybe = <T>(value: T): T | null => (random() < 0.2 ? null : value);
  const number = Math.floor(random() * 100);
  const valuesOf = {
    profile: () => ({ age: maybe(Math.floor(random() * 9)), city: maybe(['Łódź', '', 'Rome'][Math.floor(random() * 3)]) }),
    orders: () => ({ amount: maybe(random()), member: maybe(random() < 0.5) }),
    visits: () => ({ count: maybe(number) }),
  };
  // Some within their time to live, some past it; some views never have a row.
  return Array.from({ length: 1 + Math.floor(random() * 7) }, () => {
    const view = VIEWS[Math.floor(random() * 3)]!;
    return { view, entity, eventTime: new Date(now - Math.floor(random() * 60) * DAY_MS), values: valuesOf[view]() };
  });
}

function shuffle<T>(items: T[], random: () => number): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

async function push(rows: readonly Row[]): Promise<void> {
  for (const view of VIEWS) {
    const some = rows.filter((row) => row.view === view).map(({ entity, ...row }) => ({ ...row, entity: { person_id: entity } }));
    if (some.length > 0) await h.client.publishRows({ view, rows: some });
  }
}

const keysOf = (entities: readonly string[]): object[] => entities.map((person_id) => ({ keys: { person_id } }));
async function read(entities: readonly string[], request: object): Promise<unknown[]> {
  return (await h.client.getOnlineFeatures({ ...request, entities: keysOf(entities) })).vectors;
}

/** Over HTTP every read goes the general way. */
async function overHttp(entities: readonly string[], request: object): Promise<unknown[]> {
  const body = JSON.stringify({ ...request, entities: { person_id: entities } });
  const answer = await fetch(`${h.service.httpUrl}/get-online-features`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  return ((await answer.json()) as { results: unknown[] }).results;
}

const versionOf = async (entity: string): Promise<number | undefined> =>
  (await redis.getBuffer(`hr:{default/person/${entity}}@scoring`))?.readUInt32LE(1);

/** Readers may trust the definitions that they have for a second. */
async function applyAndWait(yaml: string, names: readonly string[]): Promise<void> {
  await h.apply(yaml);
  const ask = async (): Promise<string> => (await h.client.getOnlineFeatures({ featureService: 'scoring', entities: [] })).names.join();
  await eventually('readers know the service', async () => (await ask()) === names.join());
}

describe('a precomputed feature service', () => {
  it(`gives what a read of its features gives, in ${SCENARIOS} random orders of rows, with writers at once and failures between`, async () => {
    const random = seededRandom(21);
    const now = Date.now();
    const entities = Array.from({ length: SCENARIOS }, (_, n) => `p${n}`);
    const rows = entities.flatMap((entity) => historyOf(entity, random, now));
    const sent = shuffle([...rows, ...rows.filter(() => random() < 0.3)], random);
    const store = h.service.app.get(VectorStore);
    while (sent.length > 0) {
      const writers = Array.from({ length: 4 }, () => sent.splice(0, 1 + Math.floor(random() * 150)));
      if (random() < 0.3)
        vi.spyOn(store, 'refresh').mockImplementationOnce(() => Promise.reject(new AppError('DEPENDENCY_UNAVAILABLE', 'gone')));
      // Without an answer a caller repeats.
      await Promise.all(writers.map((part) => push(part).catch(() => push(part))));
    }
    vi.restoreAllMocks();
    const unknown = ['nobody', 'p|q'];
    const asked = [...entities, ...unknown];
    expect(await read(asked, { featureService: 'scoring' })).toEqual(await read(asked, { features: FEATURES }));
    expect(await overHttp(asked, { feature_service: 'scoring' })).toEqual(await overHttp(asked, { features: FEATURES }));
    expect(await Promise.all(entities.map(versionOf))).toEqual(entities.map(() => 1));
  }, 240_000);

  it('is one key of an entity in Redis, and rows are looked for only where there is none', async () => {
    const spy = vi.spyOn(h.service.app.get(OnlineStore), 'read');
    const keyCounts = (): number[] => spy.mock.calls.map(([keys]) => keys.length).filter((count) => count > 0);
    await read(['p1', 'p2', 'p3'], { featureService: 'scoring' });
    await overHttp(['p1', 'p2', 'p3'], { feature_service: 'scoring' });
    expect(keyCounts()).toEqual([3, 3]);
    spy.mockClear();
    await read(['p1', 'nobody'], { featureService: 'scoring' });
    expect(keyCounts()).toEqual([2, 3]);
    spy.mockRestore();
  });

  it('tells the names of its features, and hides what grows too old while it lies there', async () => {
    await push([{ view: 'visits', entity: 'old', eventTime: new Date(Date.now() - 10 * DAY_MS + 1_500), values: { count: 7 } }]);
    const ask = () => h.client.getOnlineFeatures({ featureService: 'scoring', entities: [{ keys: { person_id: 'old' } }] });
    const { names, vectors } = await ask();
    expect(names).toEqual(ALL_NAMES);
    expect([vectors[0]!.values[4], vectors[0]!.statuses[4]]).toEqual([7, 'FIELD_STATUS_PRESENT']);
    await eventually('the value is too old', async () => (await ask()).vectors[0]!.statuses[4] === 'FIELD_STATUS_OUTSIDE_MAX_AGE');
    expect((await ask()).vectors[0]!.values[4]).toBeNull();
  });

  it('that is corrupt, or was lost, is read from the rows', async () => {
    const expected = await read(['p1', 'p2'], { features: FEATURES });
    const key = 'hr:{default/person/p1}@scoring';
    const good = (await redis.getBuffer(key))!;
    await redis.set(key, good.subarray(0, good.length - 1));
    await redis.del('hr:{default/person/p2}@scoring');
    expect(await read(['p1', 'p2'], { featureService: 'scoring' })).toEqual(expected);
    await redis.set(key, good);
  });

  it('follows its definition: new vectors when it changes, none when it is not wanted any more', async () => {
    const entities = ['p1', 'p2', 'p3'];
    await applyAndWait(service('visits, profile:age'), ['count', 'age']);
    const features = ['visits:count', 'profile:age'];
    expect(await read(entities, { featureService: 'scoring' })).toEqual(await read(entities, { features }));
    await eventually('vectors of version 2', async () => (await redis.hget('hr:vectors', 'default/scoring')) === '2 person');
    expect(await Promise.all(entities.map(versionOf))).toEqual([2, 2, 2]);
    // A row of a view that it does not pick from any more, then back to what it was.
    await push([{ view: 'orders', entity: 'p1', eventTime: new Date(), values: { amount: 123, member: true } }]);
    await applyAndWait(service(ALL), ALL_NAMES);
    expect(await read(entities, { featureService: 'scoring' })).toEqual(await read(entities, { features: FEATURES }));
    await eventually('vectors of version 3', async () => (await redis.hget('hr:vectors', 'default/scoring')) === '3 person');
    expect(await read(entities, { featureService: 'scoring' })).toEqual(await read(entities, { features: FEATURES }));
    await h.apply(service(ALL, ''));
    await eventually('no vectors', async () => (await redis.keys('hr:*@scoring')).length + (await redis.hlen('hr:vectors')) === 0);
    expect(await read(entities, { featureService: 'scoring' })).toEqual(await read(entities, { features: FEATURES }));
    await h.apply(service(ALL));
  });

  it('is made again with the rows after Redis has lost everything', async () => {
    const entities = ['p1', 'p2', 'p3'];
    await h.flushOnline();
    for (const view of VIEWS) await h.client.rebuildOnline({ view });
    expect(await Promise.all(entities.map(versionOf))).toEqual([5, 5, 5]);
    expect(await read(entities, { featureService: 'scoring' })).toEqual(await read(entities, { features: FEATURES }));
  });

  it.each([
    [
      'windows',
      'kind: FeatureView\nname: w\nentity: person\nfeatures: [{ name: a, type: int64 }]\naggregations: [{ function: sum, column: a, windows: [1h] }]\n---\n',
      'w',
      /made of time or windows/,
    ],
    [
      'another entity',
      'kind: Entity\nname: place\njoinKeys: [place_id]\n---\nkind: FeatureView\nname: q\nentity: place\nfeatures: [{ name: a, type: int64 }]\n---\n',
      'profile, q',
      /2 entities, person and place/,
    ],
    [
      'a view that is kept offline only',
      'kind: FeatureView\nname: o\nentity: person\nonline: false\nfeatures: [{ name: a, type: int64 }]\n---\n',
      'o',
      /offline only/,
    ],
  ])('cannot have %s in it', async (_, more, features, why) => {
    await expect(h.apply(more + service(features))).rejects.toThrow(why);
  });
});

it('clean-up of the online store takes a row out of the vectors too', async () => {
  const other = await startHarness({ inspectEveryMs: 200 });
  const store = new Redis(other.redisUrl);
  try {
    await other.apply(`${DEFINITIONS}---\n${service(ALL)}`);
    const entity = { person_id: 'gone' };
    await other.client.publishRows({
      view: 'visits',
      rows: [{ entity, eventTime: new Date(Date.now() - 9 * DAY_MS), values: { count: 7 } }],
    });
    const [row, vector] = ['hr:{default/person/gone}:visits', 'hr:{default/person/gone}@scoring'];
    expect(await store.exists(row, vector)).toBe(2);
    // As if it had lain there for twelve days.
    const blob = (await store.getBuffer(row))!;
    blob.writeDoubleLE(Date.now() - 21 * DAY_MS, 5);
    // Again while it is there: the rebuild that follows an apply may bring the row of Postgres back in between.
    const growOld = (): Promise<unknown> => store.set(row, blob, 'XX');
    await eventually('both are gone', async () => (await growOld()) === null && (await store.exists(row, vector)) === 0, {
      withinMs: 60_000,
    });
  } finally {
    store.disconnect();
    await other.close();
  }
});
