import type { KafkaLibrary, KafkaLibraryOptions } from './client.js';
export function platformaticLibrary(_options: KafkaLibraryOptions): KafkaLibrary { throw new Error('not yet'); }
