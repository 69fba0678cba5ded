import type { Consumer, EachBatchPayload, IHeaders, Kafka, KafkaMessage } from 'kafkajs';
import type { ConsumerOptions, EventConsumer, KafkaLibraryOptions, PartitionBatch, RawRecord } from './client.js';
import { toKafkaError } from './errors.js';
import { decodeHeaders } from './wire-headers.js';

/** Longest that a member may take to finish its records in hand when the group rebalances. */
const REBALANCE_TIMEOUT_MS = 60_000;

export class KafkajsConsumer implements EventConsumer {
  readonly ended: Promise<Error>;
  readonly #consumer: Consumer;
  readonly #options: ConsumerOptions;
  readonly #prefix: string;
  readonly #heartbeatMs: number;
  #end!: (error: Error) => void;
  #stopping: Promise<void> | undefined;

  constructor(kafka: Kafka, library: KafkaLibraryOptions, options: ConsumerOptions) {
    this.#options = options;
    this.#prefix = library.topicPrefix;
    this.#heartbeatMs = Math.max(100, Math.min(3_000, options.sessionTimeoutMs / 4));
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.#consumer = kafka.consumer({
      groupId: library.topicPrefix + options.group,
      sessionTimeout: options.sessionTimeoutMs,
      rebalanceTimeout: Math.max(REBALANCE_TIMEOUT_MS, options.sessionTimeoutMs),
      heartbeatInterval: this.#heartbeatMs,
      allowAutoTopicCreation: false,
      maxWaitTimeInMs: 500,
      // Its rules on what restarts and what does not are hard to foresee (kafkajs#1274, #1513, #1721): one supervisor of our own instead.
      retry: { initialRetryTime: 20, maxRetryTime: 1_000, retries: 5, restartOnFailure: () => Promise.resolve(false) },
    });
  }

  async start(): Promise<void> {
    const { topic, group, from, concurrency } = this.#options;
    try {
      await this.#consumer.connect();
      await this.#consumer.subscribe({ topic: this.#prefix + topic, fromBeginning: from === 'earliest' });
      const joined = new Promise<void>((resolve, reject) => {
        const off = this.#consumer.on(this.#consumer.events.GROUP_JOIN, () => {
          off();
          resolve();
        });
        this.#consumer.on(this.#consumer.events.CRASH, ({ payload }) => {
          reject(payload.error);
          this.#end(payload.error);
        });
      });
      joined.catch(() => undefined); // awaited below, unless `run` throws first
      await this.#consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: concurrency,
        eachBatch: (payload) => this.#eachBatch(payload),
      });
      await joined;
    } catch (error) {
      await this.stop();
      throw toKafkaError(error, `joining group ${group} on ${topic}`);
    }
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#consumer.disconnect());
  }

  /**
   * kafkajs sends heartbeats only between messages: a handler that takes longer than the session would be thrown out and get the
   * same batch again, for ever. So they go out from a timer while the handler works; what they learn (a rebalance) is
   * thrown when the records in hand are done, which makes kafkajs rejoin.
   */
  async #eachBatch({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning, isStale }: EachBatchPayload): Promise<void> {
    let rebalance: unknown;
    const timer = setInterval(() => {
      heartbeat().catch((error: unknown) => (rebalance ??= error));
    }, this.#heartbeatMs);
    const { topic, partition } = batch;
    const handed: PartitionBatch = {
      topic: topic.slice(this.#prefix.length),
      partition,
      records: batch.messages.map(toRawRecord),
      commit: async (nextOffset) => {
        resolveOffset((BigInt(nextOffset) - 1n).toString());
        await commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition, offset: nextOffset }] }] });
      },
      isRevoked: () => rebalance !== undefined || !isRunning() || isStale(),
    };
    try {
      await this.#options.onBatch(handed);
    } finally {
      clearInterval(timer);
    }
    if (rebalance !== undefined) throw rebalance;
  }
}

function toRawRecord(message: KafkaMessage): RawRecord {
  return {
    offset: message.offset,
    key: message.key,
    value: message.value,
    headers: decodeHeaders(entriesOf(message.headers)),
    timestampMs: Number(message.timestamp),
  };
}

function* entriesOf(headers: IHeaders | undefined): Iterable<readonly [string, Uint8Array | string]> {
  for (const [name, value] of Object.entries(headers ?? {})) {
    const last = Array.isArray(value) ? value.at(-1) : value;
    if (last !== undefined) yield [name, last];
  }
}
