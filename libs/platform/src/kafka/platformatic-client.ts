import type { KafkaLibrary, KafkaLibraryOptions } from './client.js';
import { PlatformaticAdmin } from './platformatic-admin.js';
import { PlatformaticConsumer } from './platformatic-consumer.js';
import { PlatformaticProducer } from './platformatic-producer.js';

/** @platformatic/kafka 2.12 behind our port. */
export function platformaticLibrary(options: KafkaLibraryOptions): KafkaLibrary {
  return {
    name: 'platformatic',
    producer: () => new PlatformaticProducer(options),
    consumer: (consumer) => new PlatformaticConsumer(options, consumer),
    admin: () => new PlatformaticAdmin(options),
  };
}
