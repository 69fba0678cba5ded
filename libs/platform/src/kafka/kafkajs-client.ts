import { Kafka, logLevel, type logCreator } from 'kafkajs';
import type { KafkaLibrary, KafkaLibraryOptions } from './client.js';
import { KafkajsAdmin } from './kafkajs-admin.js';
import { KafkajsConsumer } from './kafkajs-consumer.js';
import { KafkajsProducer } from './kafkajs-producer.js';
import { mendRequestQueue } from './kafkajs-queue.js';

/**
 * kafkajs 2.2.4 behind our port. Its default first retry delay of 300 ms turns the one `coordinator is loading` answer of a
 * fresh broker, and each transaction, into a third of a second: 20 ms instead.
 */
export function kafkajsLibrary(options: KafkaLibraryOptions): KafkaLibrary {
  mendRequestQueue();
  const kafka = new Kafka({
    clientId: options.clientId,
    brokers: [...options.brokers],
    connectionTimeout: 3_000,
    requestTimeout: options.requestTimeoutMs,
    retry: { initialRetryTime: 20, maxRetryTime: 1_000, retries: 5 },
    logLevel: logLevel.WARN,
    logCreator: logInto(options),
  });
  return {
    name: 'kafkajs',
    producer: () => new KafkajsProducer(kafka, options),
    consumer: (consumer) => new KafkajsConsumer(kafka, options, consumer),
    admin: () => new KafkajsAdmin(kafka, options),
  };
}

/** Rebalances and refused connections are the supervisor's to report, once; here they would come many times a second. */
const logInto =
  ({ log }: KafkaLibraryOptions): logCreator =>
  () =>
  ({ namespace, log: { message, stack: _stack, timestamp: _timestamp, logger: _logger, ...fields } }) =>
    log.debug(`kafkajs ${namespace}: ${message}`, fields);
