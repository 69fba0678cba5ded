import { seededRandom } from '@headrace/base/random';
import { onlineKey } from '@headrace/codec/feature-key';
import { eventually } from '@headrace/testkit/eventually';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHarness, type Harness } from './harness.js';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const RETENTION_MS = 60 * DAY_MS;

/** The same view with and without a retention; its joins must stay what they were. */
const VIEWS = (retention: string): string => `
kind: Entity
name: person
joinKeys: [person_id]
---
kind: FeatureView
name: lasting
entity: person
${retention}
features: [{ name: a, type: int64 }]
---
kind: FeatureView
name: passing
entity: person
ttl: 10d
${retention}
features: [{ name: a, type: int64 }]
aggregations: [{ function: sum, column: a, windows: [1d, 30d] }]
---
kind: FeatureView
name: label
entity: person
online: false
features: [{ name: y, type: int64 }]
---
kind: FeatureView
name: short
entity: person
ttl: 1h
features: [{ name: a, type: int64 }]
`;

let h: Harness;
let postgres: pg.Client;
let redis: Redis;
const now = Date.now();

beforeAll(async () => {
  h = await startHarness({ housekeepingEveryMs: 200, inspectEveryMs: 500 });
  postgres = new pg.Client({ connectionString: h.postgresUrl });
  await postgres.connect();
  redis = new Redis(h.redisUrl);
  await h.apply(VIEWS(''));
  // Partitions of a month, as a view has that begins with such a retention.
  await postgres.query('UPDATE views SET partition_months = 1');
  await postgres.query('UPDATE catalogue_epoch SET epoch = epoch + 1');
});
afterAll(async () => {
  redis.disconnect();
  await postgres.end();
  await h.close();
});

interface Join {
  readonly state: string;
  readonly trainingSet: string;
}

/** The hash of the snapshot: equal joins are equal bytes. */
async function join(knowledge: object): Promise<unknown> {
  const random = seededRandom(5);
  const rows = Array.from({ length: 400 }, () => ({
    person_id: `p${Math.floor(random() * 30)}`,
    event_timestamp: new Date(now - random() * (RETENTION_MS - HOUR_MS)).toISOString(),
  }));
  const post = await fetch(`${h.service.httpUrl}/joins`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ rows, features: ['lasting:a', 'passing:a'], ...knowledge }),
  });
  const { joinId } = (await post.json()) as { joinId: string };
  let found: Join | undefined;
  await eventually('the join has ended', async () => {
    found = (await (await fetch(`${h.service.httpUrl}/joins/${joinId}`)).json()) as Join;
    return !/QUEUED|RUNNING/.test(found.state);
  });
  expect(found).toMatchObject({ state: 'JOIN_STATE_SUCCEEDED' });
  return found!.trainingSet;
}

/** Windows too, at moments within the retention. */
const build = async (): Promise<string> =>
  (
    await h.client.buildTrainingSet({
      labelView: 'label',
      labelFeature: 'y',
      features: ['lasting:a', 'passing:a', 'passing:a_sum_1d', 'passing:a_sum_30d'],
      from: new Date(now - RETENTION_MS),
      to: new Date(now),
    })
  ).hash;

const windowsNow = async (): Promise<unknown> =>
  (await h.client.getOnlineFeatures({ features: ['passing:a_sum_1d', 'passing:a_sum_30d', 'lasting:a'], entities: people })).vectors.map(
    ({ values }) => values,
  );
const people = Array.from({ length: 30 }, (_, i) => ({ keys: { person_id: `p${i}` } }));

async function stored(view: string): Promise<{ rows: number; partitions: string[]; oldestMs: number }> {
  const { rows } = await postgres.query<{ id: number }>('SELECT id FROM views WHERE name = $1', [view]);
  const table = `view_rows_${rows[0]!.id}`;
  const counted = await postgres.query<{ rows: number; oldest: Date }>(
    `SELECT count(*)::int AS rows, min(_event_time) AS oldest FROM ${table}`,
  );
  const named = await postgres.query<{ name: string }>(
    "SELECT relname AS name FROM pg_class WHERE relname LIKE $1 AND relkind = 'r' ORDER BY 1",
    [`${table}\\_p%`],
  );
  const partitions = named.rows.map(({ name }) => name);
  return { rows: counted.rows[0]!.rows, partitions, oldestMs: counted.rows[0]!.oldest.getTime() };
}

describe('retention', () => {
  it('removes what no join within it needs, and not a row more', async () => {
    const random = seededRandom(11);
    for (const view of ['lasting', 'passing']) {
      const events = Array.from({ length: 1_500 }, (_, i) => {
        // Two of the people were last seen long ago, and rows of one instant and late ones are among them.
        const person = i % 30;
        const eldest = person < 2 ? 200 : 0;
        const eventMs = Math.round((now - (eldest + random() * (400 - eldest)) * DAY_MS) / DAY_MS) * DAY_MS;
        const row = { entity: { person_id: `p${person}` }, eventTime: new Date(Math.min(eventMs, now)).toISOString(), values: { a: i } };
        return { view, row, arrivedMs: Math.min(now, Math.round(eventMs + (random() < 0.3 ? random() * 300 * DAY_MS : 1_000))) };
      });
      await h.sendAt(events);
    }
    const labels = Array.from({ length: 200 }, (_, i) => ({
      entity: { person_id: `p${i % 30}` },
      eventTime: new Date(now - random() * (RETENTION_MS - HOUR_MS)).toISOString(),
      values: { y: i },
    }));
    await h.sendRows('label', labels);
    await h.settled();
    const knowledges = [
      {},
      { knowledge: 'KNOWLEDGE_ROW_TIME' },
      { knowledge: 'KNOWLEDGE_AS_OF', asOf: new Date(now - RETENTION_MS + HOUR_MS).toISOString() },
    ];
    const before = [];
    for (const knowledge of knowledges) before.push(await join(knowledge));
    const [online, built] = [await windowsNow(), await build()];
    const [lasting, passing] = [await stored('lasting'), await stored('passing')];
    expect([lasting.rows, passing.rows]).toEqual([1_500, 1_500]);

    await h.apply(VIEWS('retention: 60d'));
    await eventually('old partitions and replaced rows are gone', async () => {
      const [a, b] = [await stored('lasting'), await stored('passing')];
      return b.oldestMs >= now - (60 + 30 + 2 + 31) * DAY_MS && a.rows < 700;
    });
    const after = [];
    for (const knowledge of knowledges) after.push(await join(knowledge));
    expect(after).toEqual(before);
    expect(await build()).toBe(built);
    await h.flushOnline();
    await h.client.rebuildOnline({});
    expect(await windowsNow()).toEqual(online);
    const [keptLasting, keptPassing] = [await stored('lasting'), await stored('passing')];
    expect([await h.offlineRows('lasting'), await h.offlineRows('passing')]).toEqual([keptLasting.rows, keptPassing.rows]);
    expect(keptPassing.partitions.length).toBeLessThan(passing.partitions.length - 8);
    expect(keptPassing.partitions.some((name) => name.includes('retired'))).toBe(false);
    // The newest row of who was last seen long ago is still there.
    expect(keptLasting.oldestMs).toBeLessThan(now - 190 * DAY_MS);
  });

  it('takes a row that comes after its partition has gone, and keeps to the rest', async () => {
    const row = { entity: { person_id: 'late' }, eventTime: new Date(now - 390 * DAY_MS).toISOString(), values: { a: 7 } };
    await h.sendRows('passing', [row]);
    await h.sendRows('lasting', [row]);
    await h.settled();
    const read = await h.client.getOnlineFeatures({ features: ['lasting:a'], entities: [{ keys: { person_id: 'late' } }] });
    expect(read.vectors[0]!.values).toEqual([7]);
    await eventually('it is past the retention too', async () => (await stored('passing')).oldestMs > now - 200 * DAY_MS);
    expect((await stored('lasting')).oldestMs).toBeLessThan(now - 380 * DAY_MS);
    expect(await h.deadLetters()).toEqual([]);
  });
});

it('takes values out of the online store that are past their time to live for as long again, and no others', async () => {
  const at = (hoursAgo: number): object => ({
    entity: { person_id: `h${hoursAgo}` },
    eventTime: new Date(Date.now() - hoursAgo * HOUR_MS).toISOString(),
    values: { a: 1 },
  });
  await h.sendRows('short', [at(0.5), at(1.5), at(3)]);
  await h.settled();
  const isThere = async (hoursAgo: number): Promise<boolean> =>
    (await redis.exists(onlineKey('default', 'person', `h${hoursAgo}`, 'short'))) === 1;
  await eventually('the oldest has gone', async () => !(await isThere(3)));
  expect([await isThere(0.5), await isThere(1.5)]).toEqual([true, true]);
});
