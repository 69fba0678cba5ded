import type { BaseOptions } from '@platformatic/kafka';
import type { KafkaLibraryOptions } from './client.js';

/** Waits double from 20 ms to 1 s. */
export function baseOptions({ brokers, clientId, requestTimeoutMs }: KafkaLibraryOptions, retries: number): BaseOptions {
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    connectTimeout: 3_000,
    timeout: requestTimeoutMs,
    retries,
    retryDelay: (_client: unknown, _operation: string, attempt: number) => Math.min(1_000, 20 * 2 ** Math.min(attempt, 10)),
    autocreateTopics: false,
  };
}
