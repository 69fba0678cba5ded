import type { Log } from '../log.js';
import type { ConsumerOptions, EventConsumer, EventProducer, KafkaLibrary, KafkaLibraryOptions, TopicAdmin } from './client.js';
import { kafkajsLibrary } from './kafkajs-client.js';
import { platformaticLibrary } from './platformatic-client.js';
import { MAX_MESSAGE_BYTES } from './record-size.js';
import { ThreadedProducer } from './threaded-producer.js';
import type { TopicOwner } from './topics.js';

export interface KafkaClientsOptions {
  readonly brokers: readonly string[];
  /** auto = kafkajs consumes and administers (3 to 4 times the others' rate), @platformatic/kafka produces in bulk (a quarter of the CPU). */
  readonly client: 'auto' | 'kafkajs' | 'platformatic';
  /** Service and instance, as brokers see it. */
  readonly clientId: string;
  readonly topicPrefix?: string;
  readonly maxMessageBytes?: number;
  /** Default 15,000. */
  readonly requestTimeoutMs?: number;
  /** Default 20: about 15 s, longer than a broker that was killed needs to come back (6 to 12 s measured). */
  readonly sendRetries?: number;
}

/** Hands out the clients of one process. Producers and the admin are shared and connect on first use; each consumer is a new one. */
export class KafkaClients {
  readonly #options: KafkaLibraryOptions;
  readonly #main: KafkaLibrary;
  #producer: EventProducer | undefined;
  #hotProducer: ThreadedProducer | undefined;
  readonly #hotLibrary: KafkaLibrary['name'];
  #admin: TopicAdmin | undefined;
  readonly #ensured = new Set<string>();

  constructor(options: KafkaClientsOptions, log: Pick<Log, 'warn' | 'debug'>) {
    this.#options = {
      brokers: options.brokers,
      clientId: options.clientId,
      topicPrefix: options.topicPrefix ?? '',
      maxMessageBytes: options.maxMessageBytes ?? MAX_MESSAGE_BYTES,
      requestTimeoutMs: options.requestTimeoutMs ?? 15_000,
      sendRetries: options.sendRetries ?? 20,
      log,
    };
    this.#main = options.client === 'platformatic' ? platformaticLibrary(this.#options) : kafkajsLibrary(this.#options);
    this.#hotLibrary = options.client === 'kafkajs' ? 'kafkajs' : 'platformatic';
  }

  get maxMessageBytes(): number {
    return this.#options.maxMessageBytes;
  }

  producer(): EventProducer {
    return (this.#producer ??= this.#main.producer());
  }

  /** For many events a second: in a thread of its own. */
  hotProducer(): EventProducer {
    return (this.#hotProducer ??= new ThreadedProducer(this.#hotLibrary, this.#options));
  }

  consumer(options: ConsumerOptions): EventConsumer {
    return this.#main.consumer(options);
  }

  admin(): TopicAdmin {
    return (this.#admin ??= this.#main.admin());
  }

  /** As the admin's, once a topic and process: cheap enough before every send. */
  async ensureTopics(events: readonly TopicOwner[]): Promise<void> {
    const missing = events.filter(({ topic }) => !this.#ensured.has(topic));
    if (missing.length === 0) return;
    await this.admin().ensureTopics(missing);
    for (const { topic } of missing) this.#ensured.add(topic);
  }

  /** For health: one metadata round trip. */
  async check(): Promise<void> {
    await this.admin().topics();
  }

  /** Producers and admin; consumers belong to whoever started them. */
  async close(): Promise<void> {
    const open = new Set([this.#producer, this.#hotProducer, this.#admin].filter((client) => client !== undefined));
    await Promise.all([...open].map((client) => client.close()));
  }
}
