import { sleep } from '@headrace/base/clock';
import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes, type Message, type MessagesStream } from '@platformatic/kafka';
import type { ConsumerOptions, EventConsumer, KafkaLibraryOptions, RawRecord } from './client.js';
import { toKafkaError } from './errors.js';
import { PartitionQueues } from './partition-queues.js';
import { baseOptions } from './platformatic-options.js';
import { decodeHeaders } from './wire-headers.js';

type Stream = MessagesStream<Buffer, Buffer, Buffer, Buffer>;

/** A batch of an earlier assignment tried to commit: the partition may be another member's by now. */
class StaleBatch extends Error {
  override readonly name = 'StaleBatch';
}

/**
 * Two things differ from the library's own way, both for the sake of order when the group changes:
 * - it rejoins at once and tells afterwards. Our `protocolsMetadata` hook, which it awaits before each JoinGroup, lets the batches in
 *   hand finish and commit first, so that two members never work on one partition (bounded by the session timeout).
 * - after a rejoin it keeps fetching where it was, also for a partition that went away and came back without a commit
 *   in between: those records would be lost. A fresh stream starts from the committed offsets.
 */
export class PlatformaticConsumer implements EventConsumer {
  readonly ended: Promise<Error>;
  readonly #consumer: Consumer;
  readonly #options: ConsumerOptions;
  readonly #prefix: string;
  readonly #queues: PartitionQueues;
  readonly #leaderEpochs = new Map<number, number>();
  #stream: Stream | undefined;
  #rejoining = false;
  #stopped = false;
  #end!: (error: Error) => void;
  #switching: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | undefined;

  constructor(library: KafkaLibraryOptions, options: ConsumerOptions) {
    this.#options = options;
    this.#prefix = library.topicPrefix;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.#queues = new PartitionQueues(options.concurrency, {
      handle: (partition, records, epoch) => this.#handle(partition, records, epoch),
      onFailure: (error) => this.#end(error),
      onPressure: (high) => (high ? this.#stream?.pause() : this.#stream?.resume()),
    });
    this.#consumer = new Consumer({
      ...baseOptions(library, 5),
      groupId: library.topicPrefix + options.group,
      autocommit: false,
      sessionTimeout: options.sessionTimeoutMs,
      rebalanceTimeout: Math.max(60_000, options.sessionTimeoutMs),
      heartbeatInterval: Math.max(100, Math.min(3_000, Math.floor(options.sessionTimeoutMs / 4))),
      heartbeatStallTimeout: 2 * options.sessionTimeoutMs,
      protocolsMetadata: () => this.#beforeJoin(),
      maxWaitTime: 500,
      minBytes: 1,
      maxBytes: 10 * 1024 * 1024,
      maxBytesPerPartition: 1024 * 1024,
    });
    this.#consumer.on('error', (error: Error) => this.#end(error));
    this.#consumer.on('consumer:heartbeat:stalled', () => this.#end(new Error('no heartbeat got through within two sessions')));
  }

  async start(): Promise<void> {
    try {
      const stream = await this.#open();
      this.#begin(stream);
      this.#consumer.on('consumer:group:join', () => this.#afterRejoin());
    } catch (error) {
      await this.stop();
      throw toKafkaError(error, `joining group ${this.#options.group} on ${this.#options.topic}`);
    }
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  async #stop(): Promise<void> {
    this.#stopped = true;
    this.#queues.hold();
    this.#stream?.pause();
    await this.#queues.idle();
    await this.#switching;
    await this.#consumer.close(true);
  }

  #open(): Promise<Stream> {
    const { topic, from } = this.#options;
    return this.#consumer.consume({
      topics: [this.#prefix + topic],
      autocommit: false,
      mode: MessagesStreamModes.COMMITTED,
      fallbackMode: from === 'earliest' ? MessagesStreamFallbackModes.EARLIEST : MessagesStreamFallbackModes.LATEST,
      maxWaitTime: 500,
    });
  }

  /** A new assignment: what waits of the old one is dropped, it comes again from the committed offset. */
  #begin(stream: Stream): void {
    this.#stream = stream;
    this.#queues.restart();
    this.#rejoining = false;
    stream.on('error', (error: Error) => {
      if (this.#stream === stream) this.#end(error);
    });
    stream.on('data', (message: Message) => {
      if (this.#stream !== stream) return;
      this.#leaderEpochs.set(message.partition, message.leaderEpoch);
      this.#queues.add(message.partition, toRawRecord(message));
    });
  }

  /** The library waits for this before every JoinGroup. The user data of the subscription stays empty. */
  async #beforeJoin(): Promise<Buffer> {
    this.#rejoining = true;
    this.#queues.hold();
    const patience = new AbortController();
    await Promise.race([this.#queues.idle(), sleep(0.7 * this.#options.sessionTimeoutMs, patience.signal).catch(() => undefined)]);
    patience.abort();
    return Buffer.alloc(0);
  }

  #afterRejoin(): void {
    this.#switching = this.#switching
      .then(async () => {
        if (this.#stopped) return;
        const old = this.#stream;
        this.#stream = undefined;
        // Opened before the old one closes: the topic stays subscribed, so this does not join again.
        const fresh = await this.#open();
        this.#begin(fresh);
        await old?.close();
      })
      .catch((error: Error) => this.#end(error));
  }

  async #handle(partition: number, records: readonly RawRecord[], epoch: number): Promise<void> {
    const { topic, onBatch } = this.#options;
    const stale = (): boolean => this.#queues.epoch !== epoch;
    const commit = async (nextOffset: string): Promise<void> => {
      if (stale()) throw new StaleBatch(`partition ${partition} was assigned anew`);
      const leaderEpoch = this.#leaderEpochs.get(partition) ?? -1;
      await this.#consumer.commit({ offsets: [{ topic: this.#prefix + topic, partition, offset: BigInt(nextOffset), leaderEpoch }] });
    };
    try {
      await onBatch({ topic, partition, records, commit, isRevoked: () => this.#rejoining || this.#stopped || stale() });
    } catch (error) {
      if (!(error instanceof StaleBatch)) throw error;
    }
  }
}

function toRawRecord({ offset, key, value, headers, timestamp }: Message): RawRecord {
  const entries = [...headers].map(([name, bytes]) => [name.toString('utf8'), bytes ?? new Uint8Array()] as const);
  return {
    offset: offset.toString(),
    key: key ?? null,
    value: value ?? null,
    headers: decodeHeaders(entries),
    timestampMs: Number(timestamp),
  };
}
