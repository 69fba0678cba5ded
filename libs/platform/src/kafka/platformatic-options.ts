import type { BaseOptions } from '@platformatic/kafka';
import type { KafkaLibraryOptions } from './client.js';

/** Doubling from 20 ms to 1 s; 20 tries are about 15 s, longer than a broker that was killed needs to come back. */
export function baseOptions({ brokers, clientId }: KafkaLibraryOptions, retries: number): BaseOptions {
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    connectTimeout: 3_000,
    timeout: 15_000,
    retries,
    retryDelay: (_client: unknown, _operation: string, attempt: number) => Math.min(1_000, 20 * 2 ** Math.min(attempt, 10)),
    autocreateTopics: false,
  };
}
