import type { OutgoingRecord } from '@headrace/events/envelope';
import { ProduceAcks, Producer, type MessageToProduce } from '@platformatic/kafka';
import type { EventProducer, KafkaLibraryOptions } from './client.js';
import { toKafkaError } from './errors.js';
import { murmur2 } from './partition.js';
import { baseOptions } from './platformatic-options.js';
import { sendSlices } from './record-size.js';

export class PlatformaticProducer implements EventProducer {
  readonly #producer: Producer;
  readonly #options: KafkaLibraryOptions;
  #closed: Promise<void> | undefined;

  constructor(options: KafkaLibraryOptions) {
    this.#options = options;
    this.#producer = new Producer({
      ...baseOptions(options, options.sendRetries),
      // Not for consumers: a broker may hold their joining for as long as a rebalance takes.
      requestTimeout: options.requestTimeoutMs,
      acks: ProduceAcks.ALL,
      idempotent: true,
      // Its default takes the hash as unsigned, the Java client drops the sign bit: unless the number of partitions is a
      // power of two, keys would change partition with the library. The library takes the remainder.
      partitioner: (_message, key) => murmur2(key ?? new Uint8Array()) & 0x7fffffff,
    });
    this.#producer.on('error', (error: Error) => options.log.debug('platformatic producer', { error }));
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    for (const slice of sendSlices(records, this.#options.maxMessageBytes)) {
      try {
        await this.#producer.send({ messages: slice.map((record) => this.#toMessage(record)) });
      } catch (error) {
        throw toKafkaError(error, `sending to ${[...new Set(slice.map((record) => record.topic))].join(', ')}`);
      }
    }
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#producer.close());
  }

  #toMessage({ topic, key, value, headers }: OutgoingRecord): MessageToProduce {
    return {
      topic: this.#options.topicPrefix + topic,
      key: Buffer.from(key),
      value: Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength),
      headers: new Map(Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
    };
  }
}
