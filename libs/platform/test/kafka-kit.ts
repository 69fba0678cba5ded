import { KafkaClients, type KafkaClientsOptions } from '../src/kafka/kafka-clients.js';
import { EventPublisher } from '../src/kafka/publisher.js';
import { Telemetry } from '../src/telemetry.js';
import type { EventType } from '@headrace/events/catalog';
import type { OutgoingRecord } from '@headrace/events/envelope';
import { freshTopicPrefix, useEngines } from '@headrace/testkit/engines';
import { RecordingLog } from './recording-log.js';

export interface Note {
  readonly key: string;
  readonly number: number;
}

/** A small event of no service: JSON body, as a foreign producer would send it. */
export const noteTaken = (partitions = 4): EventType<Note> => ({
  type: 'dev.headrace.test.note-taken.v1',
  topic: 'notes.v1',
  message: {
    encode: (note) => ({ finish: () => Buffer.from(JSON.stringify(note)) }),
    decode: (bytes) => JSON.parse(Buffer.from(bytes).toString('utf8')) as Note,
    fromJSON: (object) => object as Note,
    toJSON: (note) => note,
  },
  key: (note) => note.key,
  subject: (note) => note.key,
  project: () => 'default',
  inbound: true,
  producers: [],
  consumers: [],
  partitions,
});

export const record = (topic: string, key: string, value: string | Uint8Array, headers: Record<string, string> = {}): OutgoingRecord => ({
  topic,
  key,
  value: typeof value === 'string' ? Buffer.from(value) : value,
  headers,
});

export interface KafkaKit {
  readonly log: RecordingLog;
  readonly telemetry: Telemetry;
  readonly prefix: string;
  clients(options?: Partial<KafkaClientsOptions>): KafkaClients;
  publisher(clients: KafkaClients): EventPublisher;
  close(): Promise<void>;
}

/** Clients of the run's broker under a prefix of their own; all are closed together. */
export function kafkaKit(client: KafkaClientsOptions['client'], name = 'platform'): KafkaKit {
  const log = new RecordingLog();
  const telemetry = new Telemetry({ service: 'platform-test', instance: 'test', otlpEndpoint: '', sampleRatio: 0 });
  const prefix = freshTopicPrefix(name);
  const open: KafkaClients[] = [];
  return {
    log,
    telemetry,
    prefix,
    clients: (options = {}) => {
      const clients = new KafkaClients(
        { brokers: useEngines().kafkaBrokers, client, clientId: 'platform-test', topicPrefix: prefix, ...options },
        log,
      );
      open.push(clients);
      return clients;
    },
    publisher: (clients) => new EventPublisher(clients, '/headrace/platform-test', telemetry),
    close: async () => {
      await Promise.all(open.map((clients) => clients.close()));
      await telemetry.close();
    },
  };
}
