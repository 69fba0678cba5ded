import { FeatureHealthDefinition, type OnlineRebuild } from '@headrace/contracts/features/v1/health';
import { RebuildOnlineRequest } from '@headrace/contracts/features/v1/features';
import { createClient } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { OnlineStore } from '../src/io/online-store.js';
import { startHarness, type Harness } from './harness.js';

/** Three batches of a rebuild, the last one not full. */
const ENTITIES = 12_000;
const DAY = Date.UTC(2026, 0, 1);

let h: Harness;
beforeAll(async () => {
  h = await startHarness({ inspectEveryMs: 3_600_000, housekeepingEveryMs: 3_600_000 });
  await h.apply(`
kind: Entity
name: person
joinKeys: [person_id]
---
kind: FeatureView
name: score
entity: person
features: [{ name: a, type: int64 }]
aggregations: [{ function: count, column: a, windows: [365d], name: rows }]
`);
  for (const day of [1, 0])
    for (let from = 0; from < ENTITIES; from += 1_000)
      await h.sendRows(
        'score',
        Array.from({ length: 1_000 }, (_, i) => rowOf(from + i, day)),
      );
  await h.settled();
});
afterAll(() => h.close());

const rowOf = (person: number, day: number): object => ({
  entity: { person_id: `p${person}` },
  eventTime: new Date(DAY + day * 86_400_000),
  values: { a: person * 10 + day },
});

async function list(): Promise<OnlineRebuild[]> {
  const client = createClient(FeatureHealthDefinition, h.service.grpcAddress);
  try {
    return (await client.listRebuilds({})).rebuilds;
  } finally {
    client.close();
  }
}

/** How many people are not read as their newest row and both of their rows. */
async function wrong(newest: (person: number) => number = (person) => person * 10 + 1): Promise<number> {
  let count = 0;
  for (let from = 0; from < ENTITIES; from += 4_000) {
    const people = Array.from({ length: 4_000 }, (_, i) => from + i);
    const { vectors } = await h.client.getOnlineFeatures({
      features: ['score:a', 'score:rows_365d'],
      entities: people.map((person) => ({ keys: { person_id: `p${person}` } })),
    });
    count += vectors.filter(({ values: [a, rows] }, i) => a !== newest(people[i]!) || (rows as number) < 2).length;
  }
  return count;
}

/** Writes of whole batches go through until so many have; then Redis "is away". @returns how many batches were written. */
function failAfter(batches: number): { readonly written: () => number; restore(): void } {
  const store = h.service.app.get(OnlineStore);
  const original = store.write.bind(store);
  let written = 0;
  const spy = vi.spyOn(store, 'write').mockImplementation(async (view, rows) => {
    if (written >= batches) throw new Error('the process dies');
    const count = await original(view, rows);
    written++;
    return count;
  });
  return { written: () => written, restore: () => spy.mockRestore() };
}

const rebuild = (resume = false): ReturnType<Harness['client']['rebuildOnline']> =>
  h.client.rebuildOnline(RebuildOnlineRequest.fromPartial({ view: 'score', resume }));

describe('a rebuild of the online store', () => {
  it('restores every entity while newer rows flow in, and says how far it came', async () => {
    expect(await wrong()).toBe(0);
    await h.flushOnline();
    expect(await wrong()).toBe(ENTITIES);
    const rebuilding = rebuild();
    const newer = Array.from({ length: ENTITIES / 20 }, (_, i) => rowOf(i * 20, 2));
    for (let from = 0; from < newer.length; from += 50) await h.sendRows('score', newer.slice(from, from + 50));
    const { views } = await rebuilding;
    await h.settled();
    expect(views).toMatchObject([{ view: 'score', entities: ENTITIES }]);
    expect(await wrong((person) => person * 10 + (person % 20 === 0 ? 2 : 1))).toBe(0);
    const [one] = await list();
    expect(one).toMatchObject({ view: 'score', state: 'done', entities: ENTITIES, entitiesTotal: ENTITIES });
    expect(one!.seconds).toBeCloseTo(views[0]!.seconds, 1);
    console.info(`rebuild: ${Math.round(ENTITIES / one!.seconds)} entities/s, rows and windows`);
  });

  it('goes on behind its last entity, and only there', async () => {
    const newest = (person: number): number => person * 10 + (person % 20 === 0 ? 2 : 1);
    await h.flushOnline();
    const dying = failAfter(2);
    await expect(rebuild()).rejects.toThrow();
    dying.restore();
    expect((await list())[0]).toMatchObject({ state: 'running', phase: 'rows', entities: 10_000 });
    const rest = failAfter(100);
    const { views } = await rebuild(true);
    expect(rest.written()).toBe(1);
    rest.restore();
    expect(views).toMatchObject([{ entities: ENTITIES }]);
    expect(await wrong(newest)).toBe(0);
  });

  it('is gone on with by whoever starts next, after its process has died', async () => {
    await h.flushOnline();
    const dying = failAfter(1);
    await expect(rebuild()).rejects.toThrow();
    dying.restore();
    await h.restart();
    await eventually('it is done', async () => expect((await list())[0]).toMatchObject({ state: 'done', entities: ENTITIES }), {
      withinMs: 30_000,
    });
    expect(await wrong((person) => person * 10 + (person % 20 === 0 ? 2 : 1))).toBe(0);
  });

  it('begins anew when Redis is another one, because what was written may be lost', async () => {
    const dying = failAfter(2);
    await expect(rebuild()).rejects.toThrow();
    dying.restore();
    const run = vi.spyOn(h.service.app.get(OnlineStore), 'redisRun').mockResolvedValue('another');
    const all = failAfter(100);
    await rebuild(true);
    expect(all.written()).toBe(3);
    all.restore();
    run.mockRestore();
  });

  it('gives way to a newer one of the same view', async () => {
    const store = h.service.app.get(OnlineStore);
    const original = store.write.bind(store);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const spy = vi.spyOn(store, 'write').mockImplementationOnce(async (view, rows) => {
      await held;
      return original(view, rows);
    });
    const older = rebuild();
    const refused = expect(older).rejects.toMatchObject({ code: 'CANCELLED' });
    await eventually('the older one writes', () => spy.mock.calls.length > 0);
    expect(await rebuild()).toMatchObject({ views: [{ entities: ENTITIES }] });
    release();
    await refused;
    spy.mockRestore();
    expect((await list())[0]).toMatchObject({ state: 'done' });
  });

  it('answers over HTTP', async () => {
    const { rebuilds } = (await (await fetch(`${h.service.httpUrl}/rebuilds`)).json()) as { rebuilds: { view: string; state: string }[] };
    expect(rebuilds).toMatchObject([{ view: 'score', state: 'done' }]);
  });
});
