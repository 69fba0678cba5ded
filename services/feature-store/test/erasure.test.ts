import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ErasuresDefinition, type Erasure } from '@headrace/contracts/features/v1/erasures';
import { FeatureQualityDefinition } from '@headrace/contracts/features/v1/quality';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { EntityRows } from '../src/io/entity-rows.js';
import { startHarness, type Harness } from './harness.js';

const MARK_MS = 1_000;
const SKEW_MS = 200;

let h: Harness;
let folder: string;
let erasures: Client<typeof ErasuresDefinition>;
let quality: Client<typeof FeatureQualityDefinition>;
let postgres: pg.Client;
let redis: Redis;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headrace-erasure-'));
  await mkdir(join(folder, 'in'));
  h = await startHarness({
    erasureMarkMs: MARK_MS,
    futureSkewMs: SKEW_MS,
    inspectEveryMs: 3_600_000,
    qualityEveryMs: 3_600_000,
    housekeepingEveryMs: 200,
    backfillFolder: join(folder, 'in'),
  });
  erasures = createClient(ErasuresDefinition, h.service.grpcAddress, { defaultTimeoutMs: 60_000 });
  quality = createClient(FeatureQualityDefinition, h.service.grpcAddress, { defaultTimeoutMs: 30_000 });
  postgres = new pg.Client({ connectionString: h.postgresUrl });
  await postgres.connect();
  redis = new Redis(h.redisUrl);
  await h.apply(`
kind: Entity
name: person
joinKeys: [person_id]
---
kind: Entity
name: account
joinKeys: [bank, person_id]
---
kind: FeatureView
name: profile
entity: person
quality: { window: 1h }
features: [{ name: motto, type: string }, { name: age, type: int64, max: 120 }]
aggregations: [{ function: last, column: age, windows: [1h] }]
---
kind: FeatureView
name: label
entity: person
online: false
features: [{ name: note, type: string }]
---
kind: FeatureView
name: balance
entity: account
quality: { window: 1h, by: arrival }
features: [{ name: remark, type: string }]
---
kind: FeatureService
name: greeting
precomputed: true
features: [profile:motto, profile:age]
`);
});
afterAll(async () => {
  erasures.close();
  quality.close();
  redis.disconnect();
  await postgres.end();
  await h.close();
  await rm(folder, { recursive: true, force: true });
});

const profile = (person: string, agoMs: number, age = 30, motto = `motto of ${person}`): object => ({
  entity: { person_id: person },
  eventTime: new Date(Date.now() - agoMs).toISOString(),
  values: { motto, age },
});
const balance = (person: string, bank: string, agoMs = 60_000): object => ({
  entity: { person_id: person, bank },
  eventTime: new Date(Date.now() - agoMs).toISOString(),
  values: { remark: `remark on ${person}` },
});
const push = async (view: string, rows: readonly object[], to = 'both'): Promise<{ rejected: { code: string }[] }> => {
  const answer = await fetch(`${h.service.httpUrl}/rows`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ view, rows, to }),
  });
  return (await answer.json()) as { rejected: { code: string }[] };
};

/** Every place in both stores that holds the text. */
async function findEverywhere(text: string): Promise<string[]> {
  const found: string[] = [];
  const tables = await postgres.query<{ name: string }>(
    "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')",
  );
  for (const { name } of tables.rows) {
    const { rows } = await postgres.query<{ row: string }>(`SELECT t::text AS row FROM ${name} t WHERE position($1 in t::text) > 0`, [
      text,
    ]);
    found.push(...rows.map(({ row }) => `${name}: ${row}`));
  }
  for (const key of await redis.keys('*')) {
    // Latin-1 keeps every byte; the only hash says for which versions vectors were made.
    const value =
      (await redis.type(key)) === 'hash' ? JSON.stringify(await redis.hgetall(key)) : (await redis.getBuffer(key))?.toString('latin1');
    if (key.includes(text) || value?.includes(text)) found.push(`redis ${key}`);
  }
  return found;
}

const erase = (person: string, requestId = ''): Promise<Erasure> =>
  erasures.eraseEntity({ entity: 'person', keys: { person_id: person }, reason: 'asked for it', requestId });
const marksGone = (): Promise<void> => sleep(MARK_MS + 300);

describe('an erasure', () => {
  it('leaves no byte of the entity in either store, and everything of the others', async () => {
    const gone = 'Zaphod-42';
    const stays = 'Trillian-7';
    for (const person of [gone, stays]) {
      await h.sendRows('profile', [profile(person, 60_000), profile(person, 120_000, 31), profile(person, 50_000, 300)]);
      await h.sendRows('label', [
        { entity: { person_id: person }, eventTime: new Date(Date.now() - 1_000), values: { note: `note on ${person}` } },
      ]);
      await h.sendRows('balance', [balance(person, 'north'), balance(person, 'south|\\west'), balance(person, 'east', 30_000)]);
    }
    await h.settled();
    await push('balance', [balance(gone, 'online only')], 'online');
    await postgres.query(
      `INSERT INTO consistency_findings (view_id, feature, entity, kind, served, expected, found_at) SELECT id, 'motto', $1, 'mismatch', $2, '"x"', now() FROM views WHERE name = 'profile'`,
      [gone, JSON.stringify(`motto of ${gone}`)],
    );
    await quality.listQuality({});
    const built = await h.client.buildTrainingSet({
      labelView: 'label',
      labelFeature: 'note',
      features: ['profile:age'],
      from: new Date(Date.now() - 3_600_000),
      to: new Date(),
    });
    const before = await findEverywhere(gone);
    for (const place of ['view_rows', 'quarantined_rows', 'consistency_findings', 'quality_', '@greeting', 'redis'])
      expect(
        before.some((one) => one.includes(place)),
        place,
      ).toBe(true);
    const othersBefore = (await findEverywhere(stays)).filter((one) => !one.includes('quality_')).length;

    const record = await erase(gone);
    expect(record).toMatchObject({ state: 'done', quarantined: 1, findings: 1, entity: 'person' });
    expect(record.views).toEqual([
      { view: 'balance', rows: 3, entities: 4, qualityWindows: 1 },
      { view: 'label', rows: 1, entities: 1, qualityWindows: 0 },
      { view: 'profile', rows: 2, entities: 1, qualityWindows: expect.any(Number) },
    ]);
    expect(record.snapshots.map(({ trainingSet, views }) => [trainingSet, views])).toEqual([[built.hash, ['label', 'profile']]]);
    expect(record.remaining.some((sentence) => sentence.includes('1 training sets'))).toBe(true);
    const read = await h.client.getOnlineFeatures({
      features: ['profile:motto', 'profile:age_last_1h'],
      entities: [{ keys: { person_id: gone } }, { keys: { person_id: stays } }],
    });
    expect(read.vectors.map(({ values }) => values)).toEqual([
      [null, null],
      [`motto of ${stays}`, 30],
    ]);
    await marksGone();
    expect(await findEverywhere(gone)).toEqual([]);
    expect((await findEverywhere(stays)).filter((one) => !one.includes('quality_'))).toHaveLength(othersBefore);
    expect(await h.offlineRows('balance')).toBe(3);
    const { views } = await quality.listQuality({ windows: 168 });
    const rowsOf = (view: string): number => views.find((one) => one.view === view)!.windows.reduce((sum, { rows }) => sum + rows, 0);
    expect([rowsOf('profile'), rowsOf('balance')]).toEqual([2, 3]);
  });

  it('is not undone by what comes late, through whatever door, and nothing of it is kept as refused', async () => {
    const gone = 'Marvin-1';
    const late = [profile(gone, 30_000), profile(gone, 3_600_000, 300), { entity: { person_id: gone }, values: { motto: `of ${gone}` } }];
    await h.sendRows('profile', late);
    await h.settled();
    await erase(gone);
    await h.sendRows('profile', late);
    await h.settled();
    for (const to of ['both', 'online', 'offline'])
      expect((await push('profile', late, to)).rejected.map(({ code }) => code)).toEqual([
        'ENTITY_ERASED',
        'ENTITY_ERASED',
        'ENTITY_ERASED',
      ]);
    expect((await push('balance', [balance(gone, 'north')])).rejected.map(({ code }) => code)).toEqual(['ENTITY_ERASED']);
    await writeFile(
      join(folder, 'in/late.csv'),
      `person_id,event_time,motto\n${gone},2016-01-01 00:00:00,"motto of ${gone}"\nother,2016-01-01 00:00:00,x\n`,
    );
    await fetch(`${h.service.httpUrl}/backfills`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ view: 'profile', file: { path: 'late.csv' } }),
    });
    await eventually('the backfill has ended', async () => {
      const { backfills } = (await (await fetch(`${h.service.httpUrl}/backfills`)).json()) as {
        backfills: { state: string; rowsRefused: string }[];
      };
      return backfills[0]?.state === 'BACKFILL_STATE_SUCCEEDED' && Number(backfills[0].rowsRefused) === 1;
    });
    await h.client.rebuildOnline({});
    await marksGone();
    expect(await findEverywhere(gone)).toEqual([]);
    // The two of before the erasure.
    expect((await h.deadLetters()).filter(({ value }) => value.includes(gone))).toHaveLength(2);
  });

  it('lets the entity come anew with later rows', async () => {
    const gone = 'Arthur-3';
    await h.sendRows('profile', [profile(gone, 30_000)]);
    await h.settled();
    const { until } = await erase(gone);
    await sleep(SKEW_MS + 100);
    expect(until!.getTime()).toBeLessThan(Date.now());
    expect((await push('profile', [profile(gone, 0, 99), profile(gone, 20_000, 98)])).rejected).toMatchObject([{ code: 'ENTITY_ERASED' }]);
    const { vectors } = await h.client.getOnlineFeatures({
      features: ['profile:age', 'profile:age_last_1h'],
      entities: [{ keys: { person_id: gone } }],
    });
    expect(vectors[0]!.values).toEqual([99, 99]);
    await marksGone();
    await h.client.rebuildOnline({});
    const again = await h.client.getOnlineFeatures({
      features: ['profile:age', 'profile:age_last_1h'],
      entities: [{ keys: { person_id: gone } }],
    });
    expect(again.vectors[0]!.values).toEqual([99, 99]);
  });

  it('holds against rows that are being stored, and a rebuild, while it runs', async () => {
    const gone = 'Ford-9';
    let going = true;
    const flood = Promise.all(
      [0, 1, 2, 3].map(async (writer) => {
        for (let i = 0; going; i++)
          await push('profile', [
            profile(gone, 10_000 + i * 10 + writer, writer),
            profile(gone, 20_000, 300),
            profile(`bystander ${i}`, 5_000),
          ]);
      }),
    );
    const rebuilds = (async () => {
      while (going) await h.client.rebuildOnline({ view: 'profile' });
    })();
    await sleep(300);
    await erase(gone);
    await sleep(300);
    going = false;
    await Promise.all([flood, rebuilds]);
    await marksGone();
    expect(await findEverywhere(gone)).toEqual([]);
  });

  it('is the same when it is asked for again, and goes on after it was cut short', async () => {
    const gone = 'Slartibartfast-5';
    await h.sendRows('profile', [profile(gone, 30_000)]);
    await h.sendRows('balance', [balance(gone, 'north')]);
    await h.settled();
    const rows = h.service.app.get(EntityRows);
    const original = rows.erase.bind(rows);
    const cut = vi
      .spyOn(rows, 'erase')
      .mockImplementationOnce((...args) => original(...args))
      .mockImplementationOnce(() => Promise.reject(new Error('the process dies')));
    await expect(erase(gone, 'again')).rejects.toThrow();
    cut.mockRestore();
    await postgres.query("UPDATE erasures SET touched_at = now() - interval '1 hour' WHERE state = 'running'");
    await eventually('housekeeping goes on with it', async () =>
      (await erasures.listErasures({})).erasures.every(({ state }) => state === 'done'),
    );
    const [done, again] = [await erase(gone, 'again'), await erase(gone, 'again')];
    expect(again).toEqual(done);
    expect(done.views.map(({ view, rows: of }) => [view, of])).toEqual([
      ['balance', 1],
      ['label', 0],
      ['profile', 1],
    ]);
    await marksGone();
    expect(await findEverywhere(gone)).toEqual([]);
    await expect(erase('somebody else', 'again')).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(erasures.eraseEntity({ entity: 'ghost', keys: { id: '1' } })).rejects.toMatchObject({ code: 'ENTITY_UNKNOWN' });
    await expect(erasures.eraseEntity({ entity: 'account', keys: { person_id: '1' } })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});
