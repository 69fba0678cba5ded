import { sleep } from '@headrace/base/clock';
import { AppError } from '@headrace/base/errors';
import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import type { KafkaLibraryOptions, PartitionLag, PartitionOffsets, TopicAdmin } from './client.js';
import { toKafkaError } from './errors.js';
import { topicSpecs, type TopicOwner } from './topics.js';

/** A new topic has its leaders within milliseconds; a broker that is short of CPU takes seconds. */
const LEADER_WAIT_MS = 10_000;

export class KafkajsAdmin implements TopicAdmin {
  readonly #admin: Admin;
  readonly #prefix: string;
  #connected: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(kafka: Kafka, options: KafkaLibraryOptions) {
    this.#prefix = options.topicPrefix;
    this.#admin = kafka.admin({ retry: { initialRetryTime: 20, maxRetryTime: 1_000, retries: 12 } });
  }

  ensureTopics(events: readonly TopicOwner[]): Promise<void> {
    return this.#do('creating topics', async (admin) => {
      const existing = new Set(await admin.listTopics());
      const missing = topicSpecs(events).filter(({ topic }) => !existing.has(this.#prefix + topic));
      if (missing.length === 0) return;
      // Resolves to false when another process created one of them meanwhile.
      await admin.createTopics({
        // Its own wait fails on a busy KRaft broker with UNKNOWN_TOPIC_OR_PARTITION and does not try again.
        waitForLeaders: false,
        topics: missing.map(({ topic, partitions, config }) => ({
          topic: this.#prefix + topic,
          numPartitions: partitions,
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        })),
      });
      await this.#untilLed(
        admin,
        missing.map(({ topic }) => this.#prefix + topic),
      );
    });
  }

  /** A topic exists for clients when each of its partitions has a leader. */
  async #untilLed(admin: Admin, topics: string[]): Promise<void> {
    for (const limit = Date.now() + LEADER_WAIT_MS; ; await sleep(50)) {
      try {
        const { topics: found } = await admin.fetchTopicMetadata({ topics });
        if (
          found.length === topics.length &&
          found.every(({ partitions }) => partitions.length > 0 && partitions.every(({ leader }) => leader >= 0))
        )
          return;
      } catch (error) {
        if (Date.now() > limit) throw error;
      }
      if (Date.now() > limit)
        throw new AppError('DEPENDENCY_UNAVAILABLE', `topics ${topics.join(', ')} have no leader after ${LEADER_WAIT_MS} ms`);
    }
  }

  topics(): Promise<string[]> {
    return this.#do('listing topics', async (admin) =>
      (await admin.listTopics()).filter((topic) => topic.startsWith(this.#prefix)).map((topic) => topic.slice(this.#prefix.length)),
    );
  }

  offsets(topic: string): Promise<PartitionOffsets[]> {
    return this.#do(`reading the offsets of ${topic}`, async (admin) =>
      (await onceLed(() => admin.fetchTopicOffsets(this.#prefix + topic)))
        .map(({ partition, low, high }) => ({ partition, low: BigInt(low), high: BigInt(high) }))
        .sort((a, b) => a.partition - b.partition),
    );
  }

  async lag(group: string, topic: string): Promise<PartitionLag[]> {
    const ends = await this.offsets(topic);
    return this.#do(`reading the lag of ${group}`, async (admin) => {
      const [committed] = await admin.fetchOffsets({ groupId: this.#prefix + group, topics: [this.#prefix + topic] });
      const byPartition = new Map(committed?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]));
      return ends.map(({ partition, low, high }) => {
        const next = byPartition.get(partition) ?? -1n;
        return { partition, lag: high - (next < low ? low : next) };
      });
    });
  }

  deleteTopics(topics: readonly string[]): Promise<void> {
    return this.#do('deleting topics', (admin) => admin.deleteTopics({ topics: topics.map((topic) => this.#prefix + topic) }));
  }

  deleteGroup(group: string): Promise<void> {
    return this.#do(`deleting group ${group}`, async (admin) => void (await admin.deleteGroups([this.#prefix + group])));
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#admin.disconnect());
  }

  async #do<T>(what: string, work: (admin: Admin) => Promise<T>): Promise<T> {
    try {
      await (this.#connected ??= this.#admin.connect());
      return await work(this.#admin);
    } catch (error) {
      if (!(error instanceof kafkajs.KafkaJSProtocolError)) this.#connected = undefined; // the next call connects anew
      throw toKafkaError(error, what);
    }
  }
}

/** The metadata name the leader of a new topic before the broker itself takes up the post; kafkajs gives up at its first refusal. */
async function onceLed<T>(read: () => Promise<T>): Promise<T> {
  for (const limit = Date.now() + LEADER_WAIT_MS; ; await sleep(50)) {
    try {
      return await read();
    } catch (error) {
      if (!isLeaderless(error) || Date.now() > limit) throw error;
    }
  }
}

const isLeaderless = (error: unknown): boolean =>
  error instanceof kafkajs.KafkaJSProtocolError &&
  ['LEADER_NOT_AVAILABLE', 'NOT_LEADER_FOR_PARTITION', 'FENCED_LEADER_EPOCH'].includes(error.type ?? '');
