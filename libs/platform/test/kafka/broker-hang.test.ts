import { startEngines, type RunningEngines } from '@headrace/engines/start-engines';
import { testCacheDir } from '@headrace/testkit/config';
import { eventually } from '@headrace/testkit/eventually';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { kafkaKit, record } from '../kafka-kit.js';

/** A broker of its own, because this one is stopped in the middle of requests. */
let stateDir: string;
let engines: RunningEngines;

beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'headrace-broker-hang-'));
  engines = await startEngines({ stateDir, cacheDir: testCacheDir(), only: ['kafka'], urls: {} });
});

afterAll(async () => {
  await engines.stop();
  await rm(stateDir, { recursive: true, force: true });
});

it.each(['kafkajs', 'platformatic'] as const)(
  '%s: requests that a hanging broker writes after they were given up cost no later event, and stop no later send',
  async (library) => {
    const kit = kafkaKit(library, `hang-${library}`);
    const clients = kit.clients({ brokers: engines.kafkaBrokers, requestTimeoutMs: 500, sendRetries: 2 });
    const { pid } = engines.processes[0]!;
    await clients.ensureTopics([{ topic: 'hang', partitions: 1 }]);
    const seen: string[] = [];
    const consumer = clients.consumer({
      topic: 'hang',
      group: 'hang',
      from: 'earliest',
      concurrency: 1,
      sessionTimeoutMs: 30_000,
      onBatch: async (batch) => {
        for (const { offset, value } of batch.records) {
          seen.push(Buffer.from(value!).toString());
          await batch.commit((BigInt(offset) + 1n).toString());
        }
      },
    });
    const send = (...texts: string[]): Promise<void> => clients.producer().send(texts.map((text) => record('hang', 'key', text)));

    const acknowledged = ['first'];
    await send('first');
    process.kill(pid, 'SIGSTOP');
    // All of one size: what a producer numbers alike, a broker takes for the same.
    const atOnce = ['a', 'b', 'c'].map((text) =>
      send(text).then(
        () => acknowledged.push(text),
        () => undefined,
      ),
    );
    await atOnce[0];
    process.kill(pid, 'SIGCONT');
    await Promise.all(atOnce);
    expect(acknowledged).not.toContain('a'); // else nothing was given up, and this test shows nothing
    for (let n = 1; n <= 5; n++) {
      const texts = Array.from({ length: n }, (_, i) => `${n}.${i}`);
      await send(...texts);
      acknowledged.push(...texts);
    }
    await consumer.start();
    await eventually('all that was acknowledged has come', () => expect(seen).toEqual(expect.arrayContaining(acknowledged)));
    await consumer.stop();
    await kit.close();
  },
);
