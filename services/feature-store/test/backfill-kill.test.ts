import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '@headrace/base/random';
import {
  BackfillsDefinition,
  BackfillState,
  FeatureStoreDefinition,
  StartBackfillRequest,
  type Backfill,
} from '@headrace/contracts/features/v1/features';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { freshDatabase, freshRedis, freshTopicPrefix, useEngines } from '@headrace/testkit/engines';
import { eventually } from '@headrace/testkit/eventually';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { definitionsOf } from './harness.js';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const ROWS = 120_000;
const KILLS = 6;
/** Slow enough that each kill falls into the middle. */
const ROWS_PER_SECOND = 20_000;

let folder: string;
let database: Awaited<ReturnType<typeof freshDatabase>>;
let environment: NodeJS.ProcessEnv;
let service: Service;
let postgres: pg.Client;

beforeAll(async () => {
  const engines = useEngines();
  folder = await mkdtemp(join(tmpdir(), 'headrace-kill-'));
  await mkdir(join(folder, 'in'));
  database = await freshDatabase('backfill_kill');
  environment = {
    ...process.env,
    HEADRACE_HTTP_PORT: '0',
    HEADRACE_GRPC_PORT: '0',
    HEADRACE_LOG_LEVEL: 'warn',
    HEADRACE_POSTGRES_URL: database.url,
    HEADRACE_REDIS_URL: (await freshRedis()).url,
    HEADRACE_KAFKA_BROKERS: engines.kafkaBrokers.join(','),
    HEADRACE_TOPIC_PREFIX: freshTopicPrefix('kill'),
    HEADRACE_STATE: join(folder, 'state'),
    HEADRACE_FEATURES_BACKFILL_FOLDER: join(folder, 'in'),
    HEADRACE_REGISTRY_GRPC: '127.0.0.1:1',
  };
  service = startService();
  postgres = new pg.Client({ connectionString: database.url });
  await postgres.connect();
});
afterAll(async () => {
  service.child.kill('SIGTERM');
  if (service.child.exitCode === null) await once(service.child, 'exit');
  await postgres.end();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

interface Service {
  readonly child: ChildProcess;
  /** Its gRPC address, when it is ready; a killed one never is. */
  readonly ready: Promise<string>;
}

/** The real service, as built. */
function startService(): Service {
  const child = spawn(process.execPath, [MAIN], { stdio: ['ignore', 'pipe', 'inherit'], env: environment });
  const ready = readyAddress(child);
  ready.catch(() => undefined); // told to whoever waits for it
  return { child, ready };
}

async function readyAddress(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) {
    if (!line.includes('"ready"')) continue;
    child.stdout!.resume();
    return (JSON.parse(line) as { grpc: string }).grpc;
  }
  throw new Error('the service ended before it was ready; is it built? (npm run build)');
}

async function ask<T>(
  work: (backfills: Client<typeof BackfillsDefinition>, client: Client<typeof FeatureStoreDefinition>) => Promise<T>,
): Promise<T> {
  const grpc = await service.ready;
  const backfills = createClient(BackfillsDefinition, grpc, { defaultTimeoutMs: 30_000 });
  const client = createClient(FeatureStoreDefinition, grpc, { defaultTimeoutMs: 30_000 });
  try {
    return await work(backfills, client);
  } finally {
    backfills.close();
    client.close();
  }
}

it('of a real process that is killed again and again in the middle stores every row once, and counts it once', async () => {
  await ask((_, client) =>
    client.apply({
      definitions: definitionsOf(`
kind: Entity
name: person
joinKeys: [person_id]
---
kind: FeatureView
name: person
entity: person
quality: { window: 1d, minRows: 1 }
features: [{ name: age, type: int64, max: 120 }, { name: city, type: string }]
`),
    }),
  );
  const lines = Array.from(
    { length: ROWS },
    (_, i) => `p${i % 5_000},2016-01-${String(1 + (i % 28)).padStart(2, '0')}T00:00:00Z,${i % 7 === 0 ? 300 : i % 100},city ${i}`,
  );
  await writeFile(join(folder, 'in/people.csv'), ['person_id,event_time,age,city', ...lines].join('\n'));
  const { id } = await ask((backfills) =>
    backfills.startBackfill(
      StartBackfillRequest.fromPartial({
        view: 'person',
        source: { $case: 'file', value: { path: 'people.csv' } },
        rowsPerSecond: ROWS_PER_SECOND,
      }),
    ),
  );
  const job = (): Promise<Backfill> => ask((backfills) => backfills.getBackfill({ project: '', id }));
  const position = async (): Promise<number> =>
    (await postgres.query<{ rows: number }>("SELECT (position ->> 'rows')::int AS rows FROM backfills")).rows[0]!.rows;
  const random = seededRandom(1);
  const positions: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const from = await position();
    await eventually('it goes on from where it stood', async () => (await position()) > from, { withinMs: 60_000, everyMs: 5 });
    await sleep(random() * 60); // anywhere between two batches, and in one
    service.child.kill('SIGKILL');
    await once(service.child, 'exit');
    // Nobody waits for the lease of the dead in a test.
    await postgres.query("UPDATE backfills SET lease_until = now() WHERE state = 'running'");
    positions.push(await position());
    service = startService();
  }
  await eventually('the backfill has ended', async () => (await job()).state !== BackfillState.RUNNING, { withinMs: 90_000, everyMs: 50 });

  // It was killed in the middle, and never began anew.
  expect(positions.every((rows, i) => rows > (positions[i - 1] ?? 0) && rows < ROWS)).toBe(true);
  const refused = lines.filter((_, i) => i % 7 === 0).length;
  expect(await job()).toMatchObject({ state: BackfillState.SUCCEEDED, rowsDone: ROWS, rowsTotal: ROWS });
  const one = async (sql: string): Promise<number> => (await postgres.query<{ n: string }>(sql)).rows.map(({ n }) => Number(n))[0]!;
  expect(await one('SELECT count(*) AS n FROM view_rows_1')).toBe(ROWS - refused);
  expect(await one('SELECT count(DISTINCT city) AS n FROM view_rows_1')).toBe(ROWS - refused);
  expect(await one('SELECT count(*) AS n FROM quarantined_rows')).toBe(refused);
  expect(await one('SELECT sum(rows) AS n FROM view_row_counts')).toBe(ROWS - refused);
  const counted = "SELECT coalesce(sum((statistics ->> 'rows')::int), 0) AS n FROM";
  expect((await one(`${counted} quality_windows`)) + (await one(`${counted} quality_deltas`))).toBe(ROWS - refused);
  // Each person's newest row, of the rows that fit, is what is read.
  const newest = new Map<string, { day: number; age: number }>();
  for (const [i] of lines.entries()) {
    const [person, day] = [`p${i % 5_000}`, 1 + (i % 28)];
    if (i % 7 !== 0 && day > (newest.get(person)?.day ?? 0)) newest.set(person, { day, age: i % 100 });
  }
  const people = [...newest.keys()];
  const { vectors } = await ask((_, client) =>
    client.getOnlineFeatures({ features: ['person:age'], entities: people.map((person) => ({ keys: { person_id: person } })) }),
  );
  expect(vectors.map(({ eventTimes }) => eventTimes[0]!.getUTCDate())).toEqual(people.map((person) => newest.get(person)!.day));
});
