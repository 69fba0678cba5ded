import { seededRandom } from '@headrace/base/random';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { OnlineStore } from '../src/io/online-store.js';
import { startHarness, type Harness } from './harness.js';

const DEFINITIONS = `
kind: Entity
name: person
joinKeys: [person_id, region]
---
kind: Entity
name: place
joinKeys: [region]
---
kind: FeatureView
name: person
entity: person
ttl: 30d
features:
  - { name: age, type: int64 }
  - { name: city, type: string }
  - { name: member, type: bool }
  - { name: seen, type: timestamp }
---
kind: FeatureView
name: place
entity: place
features: [{ name: size, type: float64 }]
`;
const FEATURES = ['person:age', 'person:city', 'person:member', 'person:seen', 'place:size'];

let h: Harness;
beforeAll(async () => {
  h = await startHarness();
  await h.apply(DEFINITIONS);
  const random = seededRandom(11);
  const now = Date.now();
  const maybe = <T>(value: T): T | null => (random() < 0.3 ? null : value);
  await h.client.publishRows({
    view: 'person',
    rows: Array.from({ length: 40 }, (_, i) => ({
      entity: { person_id: `p${i}`, region: i % 2 ? 'a|b' : 'é}' },
      eventTime: new Date(now - Math.floor(random() * 60) * 86_400_000),
      values: { age: maybe(i), city: maybe('x'.repeat(i * 5)), member: maybe(i % 2 === 0), seen: maybe(now) },
    })),
  });
  const rows = ['a|b', 'é}'].map((region, i) => ({ entity: { region }, eventTime: new Date(now), values: { size: i + 0.5 } }));
  await h.client.publishRows({ view: 'place', rows });
});
afterAll(() => h.close());

type Value = readonly [value: unknown, status: string, eventTime: string];

/** Over HTTP every read goes the general way. */
async function general(features: readonly string[], entities: readonly Record<string, string>[]): Promise<Value[][]> {
  const columns = { person_id: entities.map((e) => e.person_id), region: entities.map((e) => e.region) };
  const body = JSON.stringify({ features, entities: columns });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${h.service.httpUrl}/get-online-features`, { method: 'POST', headers, body });
  const { results } = (await answer.json()) as { results: { values: unknown[]; statuses: string[]; event_timestamps: string[] }[] };
  const found = results.slice(2);
  // Feast's times are in seconds.
  const value = (feature: string, v: unknown): unknown => (feature === 'person:seen' && v !== null ? Math.round((v as number) * 1000) : v);
  return entities.map((_, e) => found.map((f, i): Value => [value(features[i]!, f.values[e]), f.statuses[e]!, f.event_timestamps[e]!]));
}

describe('an online read over wire', () => {
  it('answers as the general way does, whatever is asked', async () => {
    const random = seededRandom(12);
    for (let n = 0; n < 60; n++) {
      const features = Array.from({ length: 1 + Math.floor(random() * 6) }, () => FEATURES[Math.floor(random() * FEATURES.length)]!);
      const entities = Array.from({ length: 1 + Math.floor(random() * 12) }, () => ({
        person_id: `p${Math.floor(random() * 45)}`,
        region: random() < 0.5 ? 'a|b' : 'é}',
      }));
      const { vectors } = await h.client.getOnlineFeatures({ features, entities: entities.map((keys) => ({ keys })) });
      const hot = vectors.map((v) =>
        v.values.map((value, i): Value => [value, v.statuses[i]!.replace('FIELD_STATUS_', ''), v.eventTimes[i]!.toISOString()]),
      );
      expect(hot).toEqual(await general(features, entities));
    }
  });

  it('fetches all views and entities of all calls of a turn in one round trip', async () => {
    const read = vi.spyOn(h.service.app.get(OnlineStore), 'read');
    const entities = Array.from({ length: 10 }, (_, i) => ({ keys: { person_id: `p${i}`, region: 'a|b' } }));
    await h.client.getOnlineFeatures({ features: FEATURES, entities });
    expect(read.mock.calls.map(([keys]) => keys.length)).toEqual([20]);
    read.mockRestore();
  });

  it('of a corrupt value or of a row in an older layout is answered all the same', async () => {
    const redis = new Redis(h.redisUrl);
    const key = 'hr:{default/place/a\\|b}:place';
    const good = (await redis.getBuffer(key))!;
    await redis.set(key, good.subarray(0, 20));
    const ask = async (): Promise<unknown> =>
      (await h.client.getOnlineFeatures({ features: ['place:size'], entities: [{ keys: { region: 'a|b' } }] })).vectors[0]!.statuses[0];
    expect(await ask()).toBe('FIELD_STATUS_NOT_FOUND');
    await redis.set(key, good);
    expect(await ask()).toBe('FIELD_STATUS_PRESENT');
    redis.disconnect();
  });

  it('of a view that was applied a moment ago is answered', async () => {
    await h.client.getOnlineFeatures({ features: ['place:size'], entities: [{ keys: { region: 'x' } }] });
    await h.apply('kind: FeatureView\nname: newest\nentity: place\nfeatures: [{ name: a, type: int64 }]\n');
    const { vectors } = await h.client.getOnlineFeatures({ features: ['newest:a'], entities: [{ keys: { region: 'x' } }] });
    expect(vectors[0]!.statuses).toEqual(['FIELD_STATUS_NOT_FOUND']);
  });
});
