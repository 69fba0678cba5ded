import { sleep } from '@headrace/base/clock';
import type { ConsumerOptions, EventConsumer, PartitionBatch, RawRecord } from '../../src/kafka/client.js';
import type { KafkaClients } from '../../src/kafka/kafka-clients.js';
import { partitionOf } from '../../src/kafka/partition.js';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kafkaKit, record, type KafkaKit } from '../kafka-kit.js';

/** What the rest of the platform may rely on, whichever library stands behind the port. */
describe.each(['kafkajs', 'platformatic'] as const)('%s', (library) => {
  let kit: KafkaKit;
  let clients: KafkaClients;
  let topics = 0;

  beforeAll(() => {
    kit = kafkaKit(library, `conf-${library}`);
    clients = kit.clients();
  });
  afterAll(() => kit.close());

  async function freshTopic(partitions = 4): Promise<string> {
    const topic = `topic-${++topics}`;
    await clients.admin().ensureTopics([{ topic, partitions }]);
    return topic;
  }

  /** A consumer that keeps what it handled and committed. */
  class Collector {
    readonly records: (RawRecord & { partition: number })[] = [];
    readonly consumer: EventConsumer;
    constructor(
      topic: string,
      group: string,
      onBatch?: (batch: PartitionBatch, collector: Collector) => Promise<void>,
      options: Partial<ConsumerOptions> = {},
    ) {
      this.consumer = clients.consumer({
        topic,
        group,
        from: 'earliest',
        concurrency: 4,
        sessionTimeoutMs: 6_000,
        onBatch: (batch) => (onBatch ? onBatch(batch, this) : this.take(batch)),
        ...options,
      });
    }
    async take(batch: PartitionBatch, count = batch.records.length): Promise<void> {
      const records = batch.records.slice(0, count);
      this.records.push(...records.map((r) => ({ ...r, partition: batch.partition })));
      await batch.commit((BigInt(records.at(-1)!.offset) + 1n).toString());
    }
    get texts(): string[] {
      return this.records.map((r) => Buffer.from(r.value!).toString());
    }
  }

  it('creates topics with their dead-letter twins, and again without complaint, from several places at once', async () => {
    const events = [
      { topic: 'twins-a', partitions: 3 },
      { topic: 'twins-b', partitions: 1 },
    ];
    await Promise.all([clients.admin().ensureTopics(events), kit.clients().admin().ensureTopics(events)]);
    await clients.admin().ensureTopics(events);
    expect((await clients.admin().topics()).filter((topic) => topic.startsWith('twins')).sort()).toEqual([
      'twins-a',
      'twins-a.dead',
      'twins-b',
      'twins-b.dead',
    ]);
    expect(await clients.admin().offsets('twins-a')).toEqual([0, 1, 2].map((partition) => ({ partition, low: 0n, high: 0n })));
  });

  it('brings key, value, headers and order of each key through, headers beyond ASCII included', async () => {
    const topic = await freshTopic();
    const headers = { 'content-type': 'application/json', ce_subject: 'Zürich – 东京', empty: '' };
    for (let n = 0; n < 30; n++) await clients.producer().send([0, 1, 2].map((k) => record(topic, `key-${k}`, `${k}:${n}`, headers)));
    await clients.producer().send([record(topic, 'bytes', Uint8Array.from([0, 255, 128]))]);
    const collector = new Collector(topic, 'round-trip');
    await collector.consumer.start();
    await eventually('all came', () => collector.records.length >= 91);
    await collector.consumer.stop();
    for (const k of [0, 1, 2]) {
      const mine = collector.records.filter((r) => Buffer.from(r.key!).toString() === `key-${k}`);
      expect(mine.map((r) => Buffer.from(r.value!).toString())).toEqual(Array.from({ length: 30 }, (_, n) => `${k}:${n}`));
      expect(new Set(mine.map((r) => r.partition))).toEqual(new Set([partitionOf(Buffer.from(`key-${k}`), 4)]));
      expect({ ...mine[0]!.headers }).toEqual(headers);
      expect(Math.abs(mine[0]!.timestampMs - Date.now())).toBeLessThan(60_000);
    }
    expect([...collector.records.find((r) => Buffer.from(r.key!).toString() === 'bytes')!.value!]).toEqual([0, 255, 128]);
  });

  it('carries 10,000 records, none lost, none twice, each partition in order', async () => {
    const topic = await freshTopic();
    const collector = new Collector(topic, 'bulk');
    await collector.consumer.start();
    const all = Array.from({ length: 10_000 }, (_, n) => record(topic, `key-${n % 97}`, String(n)));
    for (let i = 0; i < all.length; i += 1_000) await clients.producer().send(all.slice(i, i + 1_000));
    await eventually('all came', () => collector.records.length >= 10_000, { withinMs: 20_000 });
    await collector.consumer.stop();
    expect(collector.records).toHaveLength(10_000);
    expect(new Set(collector.texts).size).toBe(10_000);
    for (const partition of [0, 1, 2, 3]) {
      const numbers = collector.records.filter((r) => r.partition === partition).map((r) => Number(Buffer.from(r.value!).toString()));
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
    expect(await clients.admin().lag('bulk', topic)).toEqual([0, 1, 2, 3].map((partition) => ({ partition, lag: 0n })));
  });

  it('goes on after a restart where it committed: nothing lost, only what was not committed comes again', async () => {
    const topic = await freshTopic(1);
    await clients.producer().send(Array.from({ length: 100 }, (_, n) => record(topic, 'k', String(n))));
    let reached!: () => void;
    const halfway = new Promise<void>((resolve) => (reached = resolve));
    const first = new Collector(topic, 'restart', async (batch, collector) => {
      await collector.take(batch, Math.min(40, batch.records.length));
      reached();
      while (!batch.isRevoked()) await sleep(10); // the rest is in hand when the stop comes
    });
    await first.consumer.start();
    await halfway;
    await first.consumer.stop();
    const committed = first.records.length;
    expect(await clients.admin().lag('restart', topic)).toEqual([{ partition: 0, lag: BigInt(100 - committed) }]);
    const second = new Collector(topic, 'restart');
    await second.consumer.start();
    await eventually('the rest came', () => second.records.length >= 100 - committed);
    await second.consumer.stop();
    expect([...first.texts, ...second.texts].map(Number)).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });

  it('finishes the batch in hand before it stops', async () => {
    const topic = await freshTopic(1);
    await clients.producer().send([record(topic, 'k', 'slow')]);
    let entered!: () => void;
    const inHand = new Promise<void>((resolve) => (entered = resolve));
    const collector = new Collector(topic, 'in-hand', async (batch, self) => {
      entered();
      await sleep(700);
      await self.take(batch);
    });
    await collector.consumer.start();
    await inHand;
    await collector.consumer.stop();
    expect(collector.texts).toEqual(['slow']);
    expect(await clients.admin().lag('in-hand', topic)).toEqual([{ partition: 0, lag: 0n }]);
  });

  it('keeps its membership while one batch takes longer than the session', async () => {
    const topic = await freshTopic(1);
    await clients.producer().send([record(topic, 'k', 'a')]);
    let deliveries = 0;
    const collector = new Collector(topic, 'long', async (batch, self) => {
      if (++deliveries === 1) await sleep(8_000); // the session is 6 s
      await self.take(batch);
    });
    await collector.consumer.start();
    await eventually('it is done', () => collector.records.length === 1, { withinMs: 20_000 });
    await clients.producer().send([record(topic, 'k', 'b')]);
    await eventually('the next came', () => deliveries === 2, { withinMs: 5_000 });
    await collector.consumer.stop();
    expect(collector.texts).toEqual(['a', 'b']);
  });

  it('shares partitions between two members, loses nothing when one joins and leaves, and never works on one partition twice at once', async () => {
    const topic = await freshTopic();
    const workingOn = new Map<number, number>();
    let overlaps = 0;
    const slow = async (batch: PartitionBatch, self: Collector): Promise<void> => {
      for (let i = 0; i < batch.records.length && !batch.isRevoked(); i += 25) {
        const others = workingOn.get(batch.partition) ?? 0;
        if (others > 0) overlaps++;
        workingOn.set(batch.partition, others + 1);
        await sleep(5);
        await self
          .take({ ...batch, records: batch.records.slice(i, i + 25) })
          .finally(() => workingOn.set(batch.partition, workingOn.get(batch.partition)! - 1));
      }
    };
    const [first, second] = [new Collector(topic, 'pair', slow), new Collector(topic, 'pair', slow)];
    await first.consumer.start();
    let sent = 0;
    let sending = true;
    const sender = (async () => {
      for (; sending; await sleep(20)) {
        await clients.producer().send(Array.from({ length: 50 }, (_, i) => record(topic, `key-${(sent + i) % 31}`, String(sent + i))));
        sent += 50;
      }
    })();
    await eventually('the first works', () => first.records.length > 0);
    await second.consumer.start();
    await eventually('both work', () => second.records.length > 100, { withinMs: 20_000 });
    const before = first.records.length;
    await eventually('the first goes on', () => first.records.length > before);
    await first.consumer.stop();
    sending = false;
    await sender;
    await eventually('all came', () => new Set([...first.texts, ...second.texts]).size === sent, { withinMs: 30_000, everyMs: 200 });
    await second.consumer.stop();
    expect(overlaps).toBe(0);
    expect((await clients.admin().lag('pair', topic)).every(({ lag }) => lag === 0n)).toBe(true);
    expect(first.records.length + second.records.length).toBeLessThan(1.2 * sent); // what was in hand may come twice
  });

  it('starts at the end when asked to, and only without a committed offset', async () => {
    const topic = await freshTopic(1);
    await clients.producer().send([record(topic, 'k', 'old')]);
    const collector = new Collector(topic, 'latest', undefined, { from: 'latest' });
    await collector.consumer.start();
    await sleep(1_000); // until its first fetch has found the end
    await clients.producer().send([record(topic, 'k', 'new')]);
    await eventually('the new one came', () => collector.records.length > 0);
    await collector.consumer.stop();
    await clients.producer().send([record(topic, 'k', 'newer')]);
    const again = new Collector(topic, 'latest', undefined, { from: 'latest' });
    await again.consumer.start();
    await eventually('the newer one came', () => again.records.length > 0);
    await again.consumer.stop();
    expect([collector.texts, again.texts]).toEqual([['new'], ['newer']]);
  });

  it('refuses an event that is too large by name and size, before or at the broker, and good ones go on', async () => {
    const topic = await freshTopic(1);
    const large = record(topic, 'k', Buffer.alloc(8_500_000)); // our brokers take 8 MiB, others 1
    await expect(clients.producer().send([large])).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      message: expect.stringContaining('the limit is 1000000'),
    });
    const lenient = kit.clients({ maxMessageBytes: 20_000_000 });
    await expect(lenient.producer().send([large])).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      message: expect.stringContaining('the broker refused it'),
    });
    await lenient.producer().send([record(topic, 'k', 'good')]);
    await clients.producer().send(Array.from({ length: 12 }, (_, n) => record(topic, 'k', Buffer.alloc(300_000, n)))); // 3.6 MB in one call
    expect(await clients.admin().offsets(topic)).toEqual([{ partition: 0, low: 0n, high: 13n }]);
  });

  it('leaves no socket and no timer behind when everything is closed', async () => {
    const count = (): { sockets: number; timers: number } => {
      const resources = process.getActiveResourcesInfo();
      return { sockets: resources.filter((r) => r.startsWith('TCP')).length, timers: resources.filter((r) => r === 'Timeout').length };
    };
    const topic = await freshTopic(2);
    await clients.check();
    await sleep(200);
    const before = count();
    const own = kit.clients();
    await own.admin().ensureTopics([{ topic, partitions: 2 }]);
    await own.producer().send([record(topic, 'k', '1')]);
    let seen = 0;
    const consumer = own.consumer({
      topic,
      group: 'clean',
      from: 'earliest',
      concurrency: 1,
      sessionTimeoutMs: 6_000,
      onBatch: async (batch) => void ((seen += batch.records.length), await batch.commit('1')),
    });
    await consumer.start();
    await eventually('it came', () => seen === 1);
    expect(count().sockets).toBeGreaterThan(before.sockets);
    await Promise.all([consumer.stop(), consumer.stop()]);
    await own.close();
    await own.close();
    await eventually('all is gone', () => {
      const now = count();
      expect(now.sockets).toBeLessThanOrEqual(before.sockets);
      expect(now.timers).toBeLessThanOrEqual(before.timers + 1); // this very wait
    });
  });

  it('says DEPENDENCY_UNAVAILABLE when no broker answers', async () => {
    const nowhere = kit.clients({ brokers: ['127.0.0.1:1'] });
    await expect(nowhere.check()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    const consumer = nowhere.consumer({
      topic: 't',
      group: 'g',
      from: 'earliest',
      concurrency: 1,
      sessionTimeoutMs: 6_000,
      onBatch: () => Promise.resolve(),
    });
    await expect(consumer.start()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    await consumer.stop();
  });
});

describe('between the libraries', () => {
  it.each([
    ['kafkajs', 'platformatic'],
    ['platformatic', 'kafkajs'],
  ] as const)('what %s sends %s receives, and a key keeps its partition', async (from, to) => {
    const kit = kafkaKit(from, 'exchange');
    const sender = kit.clients({ client: from });
    const receiver = kit.clients({ client: to });
    const keys = Array.from({ length: 50 }, (_, i) => (i === 0 ? '' : `schlüssel-${i}`));
    await sender.admin().ensureTopics([{ topic: 't', partitions: 7 }]);
    await sender.producer().send(keys.map((key) => record('t', key, 'first', { from })));
    await receiver.producer().send(keys.map((key) => record('t', key, 'second', { from: to })));
    const places = new Map<string, Set<number>>();
    let count = 0;
    const consumer = receiver.consumer({
      topic: 't',
      group: 'g',
      from: 'earliest',
      concurrency: 1,
      sessionTimeoutMs: 6_000,
      onBatch: (batch) => {
        for (const { key } of batch.records) {
          const text = Buffer.from(key ?? '').toString();
          places.set(text, (places.get(text) ?? new Set()).add(batch.partition));
          count++;
        }
        return batch.commit((BigInt(batch.records.at(-1)!.offset) + 1n).toString());
      },
    });
    await consumer.start();
    await eventually('all came', () => count === 100);
    await consumer.stop();
    await kit.close();
    for (const key of keys) expect([...places.get(key)!], key).toEqual([partitionOf(Buffer.from(key), 7)]);
  });
});
