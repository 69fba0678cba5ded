import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@headrace/base/errors';
import { BackfillsDefinition, BackfillState, StartBackfillRequest, type Backfill } from '@headrace/contracts/features/v1/features';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { freshDatabase } from '@headrace/testkit/engines';
import { eventually } from '@headrace/testkit/eventually';
import { parquetWriteBuffer } from 'hyparquet-writer';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { BackfillStore } from '../src/io/backfill-store.js';
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
  - { name: member, type: bool }
`;

let h: Harness;
let folder: string;
let source: { url: string; drop(): Promise<void> };
let backfills: Client<typeof BackfillsDefinition>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headrace-backfill-'));
  source = await freshDatabase('source');
  h = await startHarness({ backfillFolder: join(folder, 'in'), backfillSources: new Map([['crm', source.url]]) });
  await mkdir(join(folder, 'in'));
  await h.apply(DEFINITIONS);
  backfills = createClient(BackfillsDefinition, h.service.grpcAddress);
});
afterAll(async () => {
  backfills.close();
  await h.close();
  await source.drop();
  await rm(folder, { recursive: true, force: true });
});

const startFile = (path: string, more: object = {}): Promise<Backfill> =>
  backfills.startBackfill(StartBackfillRequest.fromPartial({ view: 'person', source: { $case: 'file', value: { path } }, ...more }));

async function ended({ id }: Backfill): Promise<Backfill> {
  let found: Backfill | undefined;
  await eventually('the backfill has ended', async () => {
    found = await backfills.getBackfill({ project: '', id });
    return found.state !== BackfillState.QUEUED && found.state !== BackfillState.RUNNING;
  });
  return found!;
}

async function read(id: string): Promise<unknown[]> {
  const features = ['person:age', 'person:city', 'person:member'];
  return (await h.client.getOnlineFeatures({ features, entities: [{ keys: { person_id: id } }] })).vectors[0]!.values;
}

const csv = (rows: number, age = (i: number) => String(i % 100)): string =>
  [
    'person_id,event_time,age,city',
    ...Array.from({ length: rows }, (_, i) => `c${i},2016-01-01 00:00:0${i % 10},${age(i)},"x, ${i}"`),
  ].join('\n');

describe('a backfill', () => {
  it('of a CSV file stores its rows through the same pipeline; bad ones go to the quarantine', async () => {
    await writeFile(
      join(folder, 'in/a.csv'),
      csv(2_500, (i) => (i === 7 ? '300' : i === 8 ? 'old' : String(i % 100))),
    );
    const before = await h.offlineRows('person');
    const done = await ended(await startFile('a.csv'));
    expect(done).toMatchObject({ state: BackfillState.SUCCEEDED, rowsDone: 2_500, rowsTotal: 2_500, rowsRefused: 2, reason: '' });
    expect(await h.offlineRows('person')).toBe(before + 2_498);
    expect([await read('c42'), await read('c7')]).toEqual([
      [42, 'x, 42', null],
      [null, null, null],
    ]);
    const listed = (await (await fetch(`${h.service.httpUrl}/quarantine?view=person`)).json()) as {
      rows: { origin: string; position: number }[];
    };
    expect(listed.rows.map(({ origin, position }) => [origin, position])).toEqual([
      [`backfill/${done.id}`, 8],
      [`backfill/${done.id}`, 7],
    ]);
  });

  it('of a Parquet file reads its types', async () => {
    const columns = [
      { name: 'person_id', data: ['q1', 'q2'], type: 'STRING' as const },
      { name: 'at', data: [new Date('2016-01-01T00:00:00Z'), new Date('2016-01-02T00:00:00Z')], type: 'TIMESTAMP' as const },
      { name: 'age', data: [1n, 2n], type: 'INT64' as const },
      { name: 'member', data: [true, false], type: 'BOOLEAN' as const },
    ];
    await writeFile(join(folder, 'in/a.parquet'), Buffer.from(parquetWriteBuffer({ columnData: columns })));
    const done = await ended(await startFile('a.parquet', { eventTimeColumn: 'at' }));
    expect(done).toMatchObject({ state: BackfillState.SUCCEEDED, rowsDone: 2, rowsTotal: 2, rowsRefused: 0 });
    expect([await read('q1'), await read('q2')]).toEqual([
      [1, null, true],
      [2, null, false],
    ]);
  });

  it('of a query reads a configured source, and changes nothing there', async () => {
    const client = new pg.Client({ connectionString: source.url });
    await client.connect();
    await client.query(
      `CREATE TABLE people AS SELECT 's' || i AS person_id, timestamptz '2016-01-01 00:00Z' + (i / 100) * interval '1 s' AS event_time, (i % 100)::int AS age FROM generate_series(0, 2999) AS i`,
    );
    const query = (sql: string): Promise<Backfill> =>
      backfills
        .startBackfill(
          StartBackfillRequest.fromPartial({ view: 'person', source: { $case: 'postgres', value: { source: 'crm', query: sql } } }),
        )
        .then(ended);
    const progress = vi.spyOn(h.service.app.get(BackfillStore), 'progress');
    progress.mockImplementationOnce(() => Promise.reject(new AppError('DEPENDENCY_UNAVAILABLE', 'gone after the rows were stored')));
    const before = await h.offlineRows('person');
    expect(await query('SELECT * FROM people')).toMatchObject({ state: BackfillState.SUCCEEDED, rowsDone: 3_000, rowsTotal: 3_000 });
    progress.mockRestore();
    expect(await h.offlineRows('person')).toBe(before + 3_000);
    expect(await read('s2999')).toEqual([99, null, null]);
    expect(await query('DELETE FROM people RETURNING *')).toMatchObject({ state: BackfillState.FAILED });
    expect(await query('SELECT 1 AS height, person_id, event_time FROM people')).toMatchObject({
      state: BackfillState.FAILED,
      reason: 'height are no features of view person; leave these columns out, or rename them',
    });
    expect((await client.query('SELECT count(*)::int AS rows FROM people')).rows).toEqual([{ rows: 3_000 }]);
    await client.end();
  });

  it('goes on where it stood after its process died, and no row counts twice', async () => {
    await writeFile(join(folder, 'in/crash.csv'), csv(5_000).replaceAll('\nc', '\nk'));
    const before = await h.offlineRows('person');
    const store = h.service.app.get(BackfillStore);
    const original = store.progress.bind(store);
    let batches = 0;
    // The third batch is stored, and nothing more is heard of the process: its lease ends, and its position is that of the second batch.
    const progress = vi.spyOn(store, 'progress').mockImplementation((...args) => (++batches === 3 ? dies() : original(...args)));
    const dies = async (): Promise<boolean> => {
      const client = new pg.Client({ connectionString: h.postgresUrl });
      await client.connect();
      await client.query("UPDATE backfills SET lease_owner = 'dead', lease_until = now() WHERE state = 'running'");
      await client.end();
      return false;
    };
    const done = await ended(await startFile('crash.csv'));
    expect(done).toMatchObject({ state: BackfillState.SUCCEEDED, rowsDone: 5_000, rowsTotal: 5_000, rowsRefused: 0 });
    expect(batches).toBe(6);
    progress.mockRestore();
    expect(await h.offlineRows('person')).toBe(before + 5_000);
  });

  it('keeps to its rate, survives a restart of the service, and can be cancelled', async () => {
    await writeFile(join(folder, 'in/slow.csv'), csv(10_000).replaceAll('\nc', '\nz'));
    const job = await startFile('slow.csv', { rowsPerSecond: 100, requestId: 'slow' });
    expect((await startFile('slow.csv', { requestId: 'slow' })).id).toBe(job.id);
    const rows = async (): Promise<number> => (await backfills.getBackfill({ project: '', id: job.id })).rowsDone;
    await eventually('it has begun', async () => (await rows()) >= 100);
    backfills.close();
    await h.restart();
    backfills = createClient(BackfillsDefinition, h.service.grpcAddress);
    const atRestart = await rows();
    await eventually('it goes on', async () => (await rows()) > atRestart, { withinMs: 30_000 });
    expect(await rows()).toBeLessThan(3_000);
    const cancelled = await backfills.cancelBackfill({ project: '', id: job.id });
    expect(cancelled.state).toBe(BackfillState.CANCELLED);
    const { backfills: listed } = (await (await fetch(`${h.service.httpUrl}/backfills`)).json()) as {
      backfills: { id: string; state: string }[];
    };
    expect(listed[0]).toMatchObject({ id: job.id, state: 'BACKFILL_STATE_CANCELLED' });
  });

  it.each(['../secret.csv', '/etc/passwd', 'link.csv', 'none.csv'])('never opens %s', async (path) => {
    await writeFile(join(folder, 'secret.csv'), csv(1));
    await symlink(join(folder, 'secret.csv'), join(folder, 'in/link.csv')).catch(() => undefined); // made once
    const done = await ended(await startFile(path));
    expect(done).toMatchObject({ state: BackfillState.FAILED, reason: expect.stringContaining('in the folder of backfills'), rowsDone: 0 });
  });

  it('is refused of an unknown view, source or job', async () => {
    await expect(startFile('a.csv', { view: 'ghost' })).rejects.toMatchObject({ code: 'VIEW_UNKNOWN' });
    const unknown = StartBackfillRequest.fromPartial({
      view: 'person',
      source: { $case: 'postgres', value: { source: 'postgres://elsewhere/db', query: 'SELECT 1' } },
    });
    await expect(backfills.startBackfill(unknown)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(backfills.getBackfill({ project: '', id: 'none' })).rejects.toMatchObject({ code: 'BACKFILL_UNKNOWN' });
  });
});
