import type { OutgoingRecord, WireHeaders } from '@headrace/events/envelope';
import type { TopicOwner } from './topics.js';

/**
 * The small port behind which the client libraries stand. Topic and group names are those of the catalogue; the clients put
 * the installation's prefix before them on the way out and take it off on the way in.
 */
export interface KafkaLibrary {
  readonly name: 'kafkajs' | 'platformatic';
  producer(): EventProducer;
  consumer(options: ConsumerOptions): EventConsumer;
  admin(): TopicAdmin;
}

export interface KafkaLibraryOptions {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly topicPrefix: string;
  readonly maxMessageBytes: number;
  /** Longest wait for one answer of a broker. */
  readonly requestTimeoutMs: number;
  /** Attempts of a send after the first, with waits doubling from 20 ms to 1 s. */
  readonly sendRetries: number;
  readonly log: LibraryLog;
}

/** The libraries' own chatter goes through here. */
export interface LibraryLog {
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export interface EventProducer {
  /**
   * Resolves when all in-sync replicas have acknowledged; records with equal keys keep their order. Connects by itself.
   * @throws AppError MESSAGE_TOO_LARGE before anything is sent, DEPENDENCY_UNAVAILABLE after bounded retries (some may have been written)
   */
  send(records: readonly OutgoingRecord[]): Promise<void>;
  close(): Promise<void>;
}

/** A record as it lies on Kafka. */
export interface RawRecord {
  readonly offset: string;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: WireHeaders;
  readonly timestampMs: number;
}

/** Some records of one partition, oldest first. The partition's next batch comes after the handler resolves. */
export interface PartitionBatch {
  readonly topic: string;
  readonly partition: number;
  readonly records: readonly RawRecord[];
  /** The group will go on here. Rejects when the partition went to another member meanwhile: let it through. */
  commit(nextOffset: string): Promise<void>;
  /** The partition is being taken away or the consumer stops: finish the records in hand, commit, return. */
  isRevoked(): boolean;
}

export interface ConsumerOptions {
  readonly topic: string;
  readonly group: string;
  /** Where a group without a committed offset begins. */
  readonly from: 'earliest' | 'latest';
  /** Most partitions handled at once by this member. */
  readonly concurrency: number;
  readonly sessionTimeoutMs: number;
  /** Rejections end the consumer (or make it rejoin); refused records are the handler's own business. */
  readonly onBatch: (batch: PartitionBatch) => Promise<void>;
}

/** One membership of one group, from joining to leaving. It does not come back to life: whoever supervises opens another. */
export interface EventConsumer {
  /** Resolves when the group has given this member its partitions. */
  start(): Promise<void>;
  /** Resolves when it ended without being asked, with the reason. */
  readonly ended: Promise<Error>;
  /** Waits for the batches in hand, commits, leaves the group, closes every socket and timer. Safe to call twice. */
  stop(): Promise<void>;
}

export interface PartitionOffsets {
  readonly partition: number;
  readonly low: bigint;
  readonly high: bigint;
}

export interface PartitionLag {
  readonly partition: number;
  /** Records that the group has not committed yet. */
  readonly lag: bigint;
}

export interface TopicAdmin {
  /** Creates what is missing, with a `.dead` twin each; existing topics stay as they are. Safe to run in many processes at once. */
  ensureTopics(events: readonly TopicOwner[]): Promise<void>;
  topics(): Promise<string[]>;
  offsets(topic: string): Promise<PartitionOffsets[]>;
  lag(group: string, topic: string): Promise<PartitionLag[]>;
  deleteTopics(topics: readonly string[]): Promise<void>;
  /** The group must have no members. */
  deleteGroup(group: string): Promise<void>;
  close(): Promise<void>;
}
