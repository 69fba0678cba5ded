import { AppError } from '@headrace/base/errors';
import { sleep } from '@headrace/base/clock';
import { seededRandom } from '@headrace/base/random';
import type { OutgoingRecord } from '@headrace/events/envelope';
import { migratePlatform } from '../../src/postgres/migrate.js';
import { enqueue, OutboxRelay, type RelayClients } from '../../src/postgres/outbox.js';
import { readBacklog } from '../../src/postgres/outbox-store.js';
import { Postgres } from '../../src/postgres/postgres.js';
import { Telemetry } from '../../src/telemetry.js';
import { freshDatabase, type FreshDatabase } from '@headrace/testkit/engines';
import { eventually } from '@headrace/testkit/eventually';
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { record } from '../kafka-kit.js';
import { RecordingLog } from '../recording-log.js';

let database: FreshDatabase;
let postgres: Postgres;
let log: RecordingLog;
const telemetries: Telemetry[] = [];
const relays: OutboxRelay[] = [];

beforeEach(async () => {
  log = new RecordingLog();
  database = await freshDatabase('outbox');
  postgres = new Postgres({ url: database.url, name: 'outbox-test', poolMax: 8 }, log);
  await migratePlatform(postgres, log);
});

afterEach(async () => {
  await Promise.all(relays.splice(0).map((relay) => relay.stop()));
  await Promise.all(telemetries.splice(0).map((telemetry) => telemetry.close()));
  await postgres.close();
  await database.drop();
});

/** A broker that keeps what it acknowledged, in order; faults come by a hook that runs after the write, before the answer. */
class FakeBroker implements RelayClients {
  readonly received: OutgoingRecord[] = [];
  beforeWrite: (records: readonly OutgoingRecord[]) => void | Promise<void> = () => undefined;
  afterWrite: (records: readonly OutgoingRecord[]) => void | Promise<void> = () => undefined;
  ensureTopics(): Promise<void> {
    return Promise.resolve();
  }
  producer(): { send: (records: readonly OutgoingRecord[]) => Promise<void>; close: () => Promise<void> } {
    const send = async (records: readonly OutgoingRecord[]): Promise<void> => {
      await this.beforeWrite(records);
      this.received.push(...records);
      await this.afterWrite(records);
    };
    return { send, close: () => Promise.resolve() };
  }
  numbers(key?: string): number[] {
    return this.received.filter((r) => key === undefined || r.key === key).map((r) => Number(Buffer.from(r.value).toString()));
  }
}

async function startRelay(broker: RelayClients, batchMax = 50): Promise<OutboxRelay> {
  const telemetry = new Telemetry({ service: 'outbox-test', instance: 'test', otlpEndpoint: '', sampleRatio: 0 });
  telemetries.push(telemetry);
  const relay = new OutboxRelay(postgres, broker, telemetry, log, { batchMax, pollMs: 200, housekeepingMs: 50 });
  relays.push(relay);
  await relay.start();
  return relay;
}

const put = (key: string, ...numbers: number[]): Promise<void> =>
  postgres.transaction((tx) =>
    enqueue(
      tx,
      numbers.map((n) => record('notes.v1', key, String(n), { ce_id: `${key}-${n}` })),
    ),
  );
const drained = (): Promise<unknown> =>
  eventually('the outbox is empty', async () => (await readBacklog(postgres)).waiting === 0, { withinMs: 20_000 });

/** Duplicates may repeat what was sent before, but what appears for the first time appears in order. */
function firstAppearances(numbers: readonly number[]): number[] {
  return [...new Set(numbers)];
}

async function killRelaySessions(): Promise<number> {
  const outside = new pg.Client({ connectionString: database.url });
  await outside.connect();
  const { rowCount } = await outside.query(
    `SELECT pg_terminate_backend(pid) FROM pg_locks
     WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) | objid::bigint = hashtextextended('headrace.outbox ' || current_schema(), 0)`,
  );
  await outside.end();
  return rowCount ?? 0;
}

it('sends what was committed, in order, soon after the commit, and nothing of a rolled-back transaction', async () => {
  const broker = new FakeBroker();
  await startRelay(broker);
  await eventually('the relay is active', () => log.count('outbox relay is active') === 1);
  await sleep(50);
  const begin = performance.now();
  await put('a', 1, 2, 3);
  await eventually('it is sent', () => broker.received.length === 3, { everyMs: 2 });
  expect(performance.now() - begin).toBeLessThan(150); // woken by NOTIFY: the poll comes after 200 ms
  await expect(
    postgres.transaction(async (tx) => {
      await enqueue(tx, [record('notes.v1', 'a', '99')]);
      throw new Error('rolled back');
    }),
  ).rejects.toThrow('rolled back');
  await put('a', 4);
  await drained();
  expect(broker.received.map((r) => [r.topic, r.key, Buffer.from(r.value).toString(), r.headers['ce_id']])).toEqual(
    [1, 2, 3, 4].map((n) => ['notes.v1', 'a', String(n), `a-${n}`]),
  );
});

it('relays only once with two relays at work, and the second takes over when the first one stops', async () => {
  const broker = new FakeBroker();
  const first = await startRelay(broker, 7);
  await startRelay(broker, 7);
  for (let n = 1; n <= 100; n++) await put('a', n);
  await drained();
  await first.stop();
  for (let n = 101; n <= 150; n++) await put('a', n);
  await drained();
  expect(broker.numbers()).toEqual(Array.from({ length: 150 }, (_, i) => i + 1));
});

it('loses nothing and keeps the order of each key when the relay dies between sending and deleting, 10 times over', async () => {
  const broker = new FakeBroker();
  let crashes = 0;
  let sends = 0;
  broker.afterWrite = async () => {
    if (++sends % 3 === 0 && crashes < 10) {
      expect(await killRelaySessions()).toBe(1);
      crashes++;
    }
  };
  await startRelay(broker, 20);
  await startRelay(broker, 20);
  const random = seededRandom(7);
  const last = new Map<string, number>();
  for (let i = 0; i < 600; i++) {
    const key = `key-${Math.floor(random() * 5)}`;
    const n = (last.get(key) ?? 0) + 1;
    last.set(key, n);
    await put(key, n);
  }
  await drained();
  expect(crashes).toBe(10);
  for (const [key, count] of last)
    expect(firstAppearances(broker.numbers(key)), key).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  expect(broker.received.length).toBeGreaterThan(600); // the price: duplicates
});

it('keeps the order in which conflicting transactions commit, even when they enqueue before they take the row lock', async () => {
  const broker = new FakeBroker();
  await postgres.execute(`CREATE TABLE history (steps int[]); INSERT INTO history VALUES ('{}')`);
  await startRelay(broker);
  const step = (i: number): Promise<unknown> =>
    postgres.transaction(async (tx) => {
      await enqueue(tx, [record('notes.v1', 'history', String(i))]);
      await sleep(Math.random() * 3);
      await tx.execute('UPDATE history SET steps = steps || $1::int', [i]);
    });
  await Promise.all(Array.from({ length: 40 }, (_, i) => step(i)));
  await drained();
  const [row] = await postgres.query<{ steps: number[] }>('SELECT steps FROM history');
  expect(broker.numbers()).toEqual(row!.steps);
});

it('waits for a broker that is away and goes on by itself', async () => {
  const broker = new FakeBroker();
  let away = true;
  broker.beforeWrite = () => {
    if (away) throw new AppError('DEPENDENCY_UNAVAILABLE', 'Kafka is away');
  };
  await startRelay(broker);
  await put('a', 1, 2);
  await put('a', 3);
  await eventually('it tried', () => log.count('cannot reach Kafka') >= 3);
  expect((await readBacklog(postgres)).waiting).toBe(3);
  await eventually('the metric shows the backlog', async () =>
    expect(await telemetries[0]!.metricsText()).toMatch(/headrace_outbox_waiting{[^}]*} 3\n/),
  );
  away = false;
  await drained();
  expect(broker.numbers()).toEqual([1, 2, 3]);
});

it('comes back after the database threw out every connection', async () => {
  const broker = new FakeBroker();
  await startRelay(broker);
  await put('a', 1);
  await drained();
  const outside = new pg.Client({ connectionString: database.url });
  await outside.connect();
  await outside.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'outbox-test'`);
  await outside.end();
  await eventually('a write works again', () => put('a', 2).then(() => true));
  await drained();
  expect(firstAppearances(broker.numbers())).toEqual([1, 2]);
});

it('refuses an event that no broker would take at the write, and parks one that the broker refuses later', async () => {
  const broker = new FakeBroker();
  broker.beforeWrite = (records) => {
    if (records.some((r) => r.value.length > 100)) throw new AppError('MESSAGE_TOO_LARGE', 'the topic takes 100 bytes');
  };
  await expect(postgres.transaction((tx) => enqueue(tx, [record('notes.v1', 'a', 'x'.repeat(2_000_000))]))).rejects.toMatchObject({
    code: 'MESSAGE_TOO_LARGE',
  });
  await postgres.transaction((tx) =>
    enqueue(tx, [record('notes.v1', 'a', '1'), record('notes.v1', 'a', '9'.repeat(101)), record('notes.v1', 'a', '3')]),
  );
  await startRelay(broker);
  await drained();
  expect(broker.numbers()).toEqual([1, 3]);
  expect(await readBacklog(postgres)).toEqual({ waiting: 0, refused: 1, oldestSeconds: 0 });
  expect(log.count('outbox row refused by the broker')).toBe(1);
});
