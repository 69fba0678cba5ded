import { deadLetterTopic } from '@headrace/events/catalog';
import { DEAD_LETTER_MAX_BYTES } from './record-size.js';

/** What an event of the catalogue says about its topic. */
export interface TopicOwner {
  readonly topic: string;
  readonly partitions: number;
}

export interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  readonly config: Readonly<Record<string, string>>;
}

/** Dead letters wait for a person: kept longer than live events, and never refused for the few headers they have more. */
const DEAD_LETTER_CONFIG = { 'retention.ms': String(30 * 24 * 3_600_000), 'max.message.bytes': String(DEAD_LETTER_MAX_BYTES + 65_536) };

/** Every topic of a list of events, with its dead-letter twin (one partition: order of arrival). */
export function topicSpecs(events: readonly TopicOwner[]): TopicSpec[] {
  return events.flatMap(({ topic, partitions }) => [
    { topic, partitions, config: {} },
    { topic: deadLetterTopic(topic), partitions: 1, config: DEAD_LETTER_CONFIG },
  ]);
}
