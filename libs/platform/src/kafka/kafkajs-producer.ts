import type { OutgoingRecord } from '@headrace/events/envelope';
import { CompressionTypes, type Kafka, type Message, type Producer, type TopicMessages } from 'kafkajs';
import type { EventProducer, KafkaLibraryOptions } from './client.js';
import { toKafkaError } from './errors.js';
import { partitionOf } from './partition.js';
import { sendSlices } from './record-size.js';

/** Doubling from 20 ms to 1 s: about 15 s in all, longer than a broker that was killed needs to come back (6 to 12 s measured). */
const RETRY = { initialRetryTime: 20, maxRetryTime: 1_000, retries: 20 };

export class KafkajsProducer implements EventProducer {
  readonly #producer: Producer;
  readonly #options: KafkaLibraryOptions;
  #connected: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(kafka: Kafka, options: KafkaLibraryOptions) {
    this.#options = options;
    this.#producer = kafka.producer({
      idempotent: true,
      allowAutoTopicCreation: false,
      retry: RETRY,
      // Our own, because kafkajs warns about its default one, and so that both libraries agree by construction.
      createPartitioner: () => (args) => partitionOf(asBytes(args.message.key), args.partitionMetadata.length),
    });
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    for (const slice of sendSlices(records, this.#options.maxMessageBytes)) {
      try {
        await this.#connect();
        await this.#producer.sendBatch({ acks: -1, compression: CompressionTypes.None, topicMessages: this.#byTopic(slice) });
      } catch (error) {
        throw toKafkaError(error, `sending to ${[...new Set(slice.map((record) => record.topic))].join(', ')}`);
      }
    }
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#producer.disconnect());
  }

  /** A failed connect is tried again by the next send. */
  #connect(): Promise<void> {
    return (this.#connected ??= this.#producer.connect().catch((error: unknown) => {
      this.#connected = undefined;
      throw error;
    }));
  }

  #byTopic(records: readonly OutgoingRecord[]): TopicMessages[] {
    const topics = new Map<string, Message[]>();
    for (const { topic, key, value, headers } of records) {
      let messages = topics.get(topic);
      if (!messages) topics.set(topic, (messages = []));
      messages.push({ key: Buffer.from(key), value: asBuffer(value), headers });
    }
    return [...topics].map(([topic, messages]) => ({ topic: this.#options.topicPrefix + topic, messages }));
  }
}

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const asBytes = (key: Buffer | string | null | undefined): Uint8Array =>
  typeof key === 'string' ? Buffer.from(key) : (key ?? new Uint8Array());
