import type { OutgoingRecord } from '@headrace/events/envelope';
import { CompressionTypes, type Kafka, type Message, type Producer, type TopicMessages } from 'kafkajs';
import type { EventProducer, KafkaLibraryOptions } from './client.js';
import { toKafkaError } from './errors.js';
import { partitionOf } from './partition.js';
import { sendSlices } from './record-size.js';

/**
 * kafkajs numbers records as they leave and takes the numbers back when a request fails, whether or not the broker had written
 * it. Two traps follow, both seen: of two sends at once, the second takes the numbers of a failed first and is answered as its
 * duplicate, so that its records are lost without an error; and a send that failed for good leaves numbers behind that the
 * broker knows, so that each later send of another size is refused as out of order, for ever. So sends go one after the other
 * (its own retries keep the numbers), and after one that failed the next goes out under a new producer id: some records may
 * be written twice then, as the port says, none is lost.
 */
export class KafkajsProducer implements EventProducer {
  readonly #kafka: Kafka;
  readonly #options: KafkaLibraryOptions;
  #producer: Promise<Producer> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(kafka: Kafka, options: KafkaLibraryOptions) {
    this.#kafka = kafka;
    this.#options = options;
  }

  send(records: readonly OutgoingRecord[]): Promise<void> {
    const sent = this.#last.then(() => this.#send(records));
    this.#last = sent.catch(() => undefined);
    return sent;
  }

  /** After the sends that are under way. */
  close(): Promise<void> {
    return (this.#closed ??= this.#last.then(() => this.#drop()));
  }

  async #send(records: readonly OutgoingRecord[]): Promise<void> {
    for (const slice of sendSlices(records, this.#options.maxMessageBytes)) {
      try {
        const producer = await (this.#producer ??= this.#connect());
        await producer.sendBatch({ acks: -1, compression: CompressionTypes.None, topicMessages: this.#byTopic(slice) });
      } catch (error) {
        await this.#drop();
        throw toKafkaError(error, `sending to ${[...new Set(slice.map((record) => record.topic))].join(', ')}`);
      }
    }
  }

  async #connect(): Promise<Producer> {
    const producer = this.#kafka.producer({
      idempotent: true,
      allowAutoTopicCreation: false,
      retry: { initialRetryTime: 20, maxRetryTime: 1_000, retries: this.#options.sendRetries },
      // Our own, because kafkajs warns about its default one, and so that both libraries agree by construction.
      createPartitioner: () => (args) => partitionOf(asBytes(args.message.key), args.partitionMetadata.length),
    });
    await producer.connect();
    return producer;
  }

  async #drop(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.then((connected) => connected.disconnect()).catch(() => undefined); // never connected, or gone already
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
