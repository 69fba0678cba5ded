import { sleep } from '@headrace/base/clock';
import { startEngines, type RunningEngines } from '@headrace/engines/start-engines';
import { EventRunner, subscribe } from '../../src/kafka/runner.js';
import { migratePlatform } from '../../src/postgres/migrate.js';
import { enqueue, OutboxRelay } from '../../src/postgres/outbox.js';
import { Postgres } from '../../src/postgres/postgres.js';
import { testCacheDir } from '@headrace/testkit/config';
import { freshDatabase, type FreshDatabase } from '@headrace/testkit/engines';
import { eventually } from '@headrace/testkit/eventually';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { kafkaKit, noteTaken, record } from '../kafka-kit.js';
import { RecordingLog } from '../recording-log.js';

/** A broker of its own, because this one is killed. */
let stateDir: string;
let engines: RunningEngines;
let database: FreshDatabase;
const start = (): Promise<RunningEngines> => startEngines({ stateDir, cacheDir: testCacheDir(), only: ['kafka'], urls: {}, durable: true });

beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'headrace-broker-restart-'));
  engines = await start();
  database = await freshDatabase('broker-restart');
});

afterAll(async () => {
  await engines.stop();
  await database.drop();
  await rm(stateDir, { recursive: true, force: true });
});

it.each(['kafkajs', 'platformatic'] as const)(
  '%s: a broker that is killed and comes back costs no event and no order, without help',
  async (library) => {
    const notes = noteTaken(2);
    const kit = kafkaKit(library, `restart-${library}`);
    const clients = kit.clients({ brokers: engines.kafkaBrokers });
    const postgres = new Postgres({ url: database.url, name: 'broker-restart' }, new RecordingLog());
    await migratePlatform(postgres, new RecordingLog());
    await clients.ensureTopics([notes]);
    const relay = new OutboxRelay(postgres, clients, kit.telemetry, kit.log, { pollMs: 200 });
    const handled = new Map<string, number[]>();
    const runner = new EventRunner(clients, kit.publisher(clients), kit.telemetry, kit.log, {
      subscriptions: [
        subscribe(notes, {
          group: 'test',
          sessionTimeoutMs: 6_000,
          handle: (batch) =>
            Promise.resolve(void batch.forEach(({ event }) => handled.set(event.key, [...(handled.get(event.key) ?? []), event.number]))),
        }),
      ],
    });
    await runner.start();
    await relay.start();

    let written = 0;
    let writing = true;
    const writer = (async () => {
      for (; writing; await sleep(10)) {
        const number = written++;
        const note = { key: `key-${number % 3}`, number };
        await postgres.transaction((tx) =>
          enqueue(tx, [record('notes.v1', note.key, JSON.stringify(note), { 'content-type': 'application/json' })]),
        );
      }
    })();
    await eventually('events flow', () => handled.size === 3);
    process.kill(engines.processes[0]!.pid, 'SIGKILL');
    await sleep(2_000);
    const writtenWhileAway = written;
    engines = await start();
    const backAtMs = Date.now();
    await eventually(
      'what was written while it was away is handled',
      () => [...handled.values()].some((numbers) => numbers.at(-1)! > writtenWhileAway),
      { withinMs: 60_000 },
    );
    const recoveryMs = Date.now() - backAtMs;
    writing = false;
    await writer;
    await eventually(
      'all is handled',
      async () => {
        const seen = new Set([...handled.values()].flat());
        const missing = Array.from({ length: written }, (_, number) => number).filter((number) => !seen.has(number));
        const waiting = await postgres.query('SELECT count(*) AS n FROM platform_outbox');
        expect({ missing, waiting }).toMatchObject({ missing: [] });
      },
      { withinMs: 60_000 },
    );
    for (const numbers of handled.values()) {
      const firsts = [...new Set(numbers)];
      expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
    }
    console.info(
      `${library}: ${written} events, ${[...handled.values()].flat().length - written} twice, flowing again ${recoveryMs} ms after the broker was ready`,
    );
    await relay.stop();
    await runner.stop();
    await postgres.execute('TRUNCATE platform_outbox');
    await postgres.close();
    await kit.close();
  },
);
