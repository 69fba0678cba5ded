import { Admin, ListOffsetTimestamps } from '@platformatic/kafka';
import type { KafkaLibraryOptions, PartitionLag, PartitionOffsets, TopicAdmin } from './client.js';
import { toKafkaError } from './errors.js';
import { baseOptions } from './platformatic-options.js';
import { topicSpecs, type TopicOwner } from './topics.js';

export class PlatformaticAdmin implements TopicAdmin {
  readonly #admin: Admin;
  readonly #prefix: string;
  #closed: Promise<void> | undefined;

  constructor(options: KafkaLibraryOptions) {
    this.#prefix = options.topicPrefix;
    this.#admin = new Admin(baseOptions(options, 12));
    this.#admin.on('error', (error: Error) => options.log.debug('platformatic admin', { error }));
  }

  ensureTopics(events: readonly TopicOwner[]): Promise<void> {
    return this.#do('creating topics', async () => {
      const existing = new Set(await this.#admin.listTopics());
      for (const { topic, partitions, config } of topicSpecs(events)) {
        if (existing.has(this.#prefix + topic)) continue;
        const configs = Object.entries(config).map(([name, value]) => ({ name, value }));
        await this.#admin.createTopics({ topics: [this.#prefix + topic], partitions, replicas: -1, configs }).catch((error: unknown) => {
          if (!createdMeanwhile(error)) throw error;
        });
      }
      await this.#waitForLeaders(events.map(({ topic }) => this.#prefix + topic));
    });
  }

  topics(): Promise<string[]> {
    return this.#do('listing topics', async () =>
      (await this.#admin.listTopics()).filter((topic) => topic.startsWith(this.#prefix)).map((topic) => topic.slice(this.#prefix.length)),
    );
  }

  offsets(topic: string): Promise<PartitionOffsets[]> {
    return this.#do(`reading the offsets of ${topic}`, async () => {
      const name = this.#prefix + topic;
      const [low, high] = await Promise.all([
        this.#offsetsAt(name, ListOffsetTimestamps.EARLIEST),
        this.#offsetsAt(name, ListOffsetTimestamps.LATEST),
      ]);
      return [...high]
        .map(([partition, end]) => ({ partition, low: low.get(partition) ?? 0n, high: end }))
        .sort((a, b) => a.partition - b.partition);
    });
  }

  async lag(group: string, topic: string): Promise<PartitionLag[]> {
    const ends = await this.offsets(topic);
    return this.#do(`reading the lag of ${group}`, async () => {
      const partitionIndexes = ends.map(({ partition }) => partition);
      const [found] = await this.#admin.listConsumerGroupOffsets({
        groups: [{ groupId: this.#prefix + group, topics: [{ name: this.#prefix + topic, partitionIndexes }] }],
      });
      const byPartition = new Map(
        found?.topics[0]?.partitions.map(({ partitionIndex, committedOffset }) => [partitionIndex, committedOffset]),
      );
      return ends.map(({ partition, low, high }) => {
        const next = byPartition.get(partition) ?? -1n;
        return { partition, lag: high - (next < low ? low : next) };
      });
    });
  }

  deleteTopics(topics: readonly string[]): Promise<void> {
    return this.#do('deleting topics', () => this.#admin.deleteTopics({ topics: topics.map((topic) => this.#prefix + topic) }));
  }

  deleteGroup(group: string): Promise<void> {
    return this.#do(`deleting group ${group}`, () => this.#admin.deleteGroups({ groups: [this.#prefix + group] }));
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#admin.close());
  }

  async #offsetsAt(topic: string, timestamp: bigint): Promise<Map<number, bigint>> {
    const partitions = (await this.#admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)?.partitionsCount ?? 0;
    const [listed] = await this.#admin.listOffsets({
      topics: [{ name: topic, partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp })) }],
    });
    return new Map(listed?.partitions.map(({ partitionIndex, offset }) => [partitionIndex, offset]));
  }

  /** A topic that was just created has no leader for a moment; the metadata call retries until it has. */
  async #waitForLeaders(topics: string[]): Promise<void> {
    if (topics.length > 0) await this.#admin.metadata({ topics, forceUpdate: true });
  }

  async #do<T>(what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw toKafkaError(error, what);
    }
  }
}

function createdMeanwhile(error: unknown): boolean {
  const { errors = [], apiId } = error as { errors?: unknown[]; apiId?: string };
  return apiId === 'TOPIC_ALREADY_EXISTS' || (errors.length > 0 && errors.every(createdMeanwhile));
}
