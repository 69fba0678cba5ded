import type { AppError } from '@headrace/base/errors';
import type { PartitionBatch } from '../../src/kafka/client.js';
import { ThreadedProducer } from '../../src/kafka/threaded-producer.js';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kafkaKit, record, type KafkaKit } from '../kafka-kit.js';

/** As `record`, with the value in memory that the thread shares. */
function shared(topic: string, key: string, value: string): ReturnType<typeof record> {
  const bytes = Buffer.from(new SharedArrayBuffer(1_000), 100, Buffer.byteLength(value));
  bytes.write(value);
  return { ...record(topic, key, ''), value: bytes };
}

describe.each(['kafkajs', 'platformatic'] as const)('a producer of %s in a thread', (library) => {
  let kit: KafkaKit;
  beforeAll(() => {
    kit = kafkaKit(library, `thread-${library}`);
  });
  afterAll(() => kit.close());

  it('brings values through, shared and copied, and keeps the order of a key over sends that are not waited for', async () => {
    const clients = kit.clients();
    await clients.admin().ensureTopics([{ topic: 'threaded', partitions: 2 }]);
    const producer = clients.hotProducer();
    const sends = Array.from({ length: 40 }, (_, i) =>
      producer.send([i % 2 === 0 ? shared('threaded', 'k', `v${i}`) : record('threaded', 'k', `v${i}`)]),
    );
    await Promise.all(sends);
    const seen: string[] = [];
    const consumer = clients.consumer({
      topic: 'threaded',
      group: 'reader',
      from: 'earliest',
      concurrency: 1,
      sessionTimeoutMs: 6_000,
      onBatch: async (batch: PartitionBatch) => {
        seen.push(...batch.records.map((one) => Buffer.from(one.value!).toString()));
        await batch.commit((BigInt(batch.records.at(-1)!.offset) + 1n).toString());
      },
    });
    await consumer.start();
    await eventually('all came', () => seen.length >= 40);
    expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => `v${i}`));
    await consumer.stop();
  });

  it('passes refusals on with their code, and goes on after them', async () => {
    const clients = kit.clients();
    await clients.admin().ensureTopics([{ topic: 'refusals', partitions: 1 }]);
    const producer = clients.hotProducer();
    await expect(producer.send([record('refusals', 'k', 'x'.repeat(1_100_000))])).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      details: { topic: 'refusals' },
    } satisfies Partial<AppError>);
    await producer.send([record('refusals', 'k', 'small')]);
    await producer.close();
    await producer.close();
    await expect(producer.send([record('refusals', 'k', 'late')])).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });
});

it('refuses what waits when its thread is gone, says why, and starts another for the next send', async () => {
  const warnings: string[] = [];
  const log = { warn: (message: string) => void warnings.push(message), debug: () => undefined };
  const broken = { brokers: [], clientId: 'c', topicPrefix: '', maxMessageBytes: 1_000, requestTimeoutMs: 1_000, sendRetries: 0, log };
  const producer = new ThreadedProducer('none' as 'kafkajs', broken);
  for (let i = 1; i <= 2; i++) {
    await expect(producer.send([record('t', 'k', 'v')])).rejects.toMatchObject({
      code: 'DEPENDENCY_UNAVAILABLE',
      message: expect.stringContaining('thread is gone') as string,
    });
    expect(warnings).toHaveLength(i);
  }
  await producer.close();
});
