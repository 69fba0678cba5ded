import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FeatureStoreDefinition, type Definition } from '@headrace/contracts/features/v1/features';
import { parseDefinitionsFile } from '@headrace/definitions/yaml-file';
import { deadLetterTopic, featureRowsPublished } from '@headrace/events/catalog';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import type { RawRecord } from '@headrace/platform/kafka/client';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { Log } from '@headrace/platform/log';
import type { RunningService } from '@headrace/platform/service';
import { freshDatabase, freshRedis, freshTopicPrefix, useEngines } from '@headrace/testkit/engines';
import { eventually } from '@headrace/testkit/eventually';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import type { Config } from '../src/config.js';
import { start } from '../src/start.js';

export interface DeadLetter {
  readonly code: string;
  readonly reason: string;
  readonly value: string;
  readonly contentType: string;
}

export interface Harness {
  readonly client: Client<typeof FeatureStoreDefinition>;
  readonly service: RunningService;
  readonly kafka: KafkaClients;
  readonly postgresUrl: string;
  readonly redisUrl: string;
  /** Empties Redis behind the service's back. */
  flushOnline(): Promise<void>;
  apply(yaml: string): Promise<void>;
  /** Any bytes as they are. */
  send(value: string | Uint8Array, contentType?: string, key?: string): Promise<void>;
  /** The documented JSON of one event. */
  sendRows(view: string, rows: readonly object[]): Promise<void>;
  /** Events of one row each, on one partition in this order, each with its own Kafka timestamp: the moment of its arrival. */
  sendAt(events: readonly { view: string; row: object; arrivedMs: number }[]): Promise<void>;
  /** Resolves when the service has handled everything that was sent. */
  settled(): Promise<void>;
  deadLetters(): Promise<DeadLetter[]>;
  offlineRows(view: string): Promise<number>;
  /** Stops the service and starts it again on the same stores. */
  restart(): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

/** A running service on stores of its own, with hands on everything around it. */
export async function startHarness(overrides: Partial<Config> = {}): Promise<Harness> {
  const engines = useEngines();
  const [database, redis, stateDir] = await Promise.all([
    freshDatabase('feature_store'),
    freshRedis(),
    mkdtemp(join(tmpdir(), 'headrace-features-')),
  ]);
  const topicPrefix = freshTopicPrefix('features');
  const log = Log.create('feature-store', 'silent', 'test');
  const config = {
    httpPort: 0,
    grpcPort: 0,
    kafkaBrokers: engines.kafkaBrokers,
    postgresUrl: database.url,
    redisUrl: redis.url,
    topicPrefix,
    stateDir,
    logLevel: 'error',
    // Nobody listens there.
    registryGrpc: '127.0.0.1:1',
    ...overrides,
  } as const;
  const kafka = new KafkaClients({ brokers: engines.kafkaBrokers, client: 'kafkajs', clientId: 'test', topicPrefix }, log);
  const { topic } = featureRowsPublished;
  await kafka.admin().ensureTopics([featureRowsPublished as never]);
  const dead = await follow(kafka, deadLetterTopic(topic));
  let service = await start(config);
  let client = createClient(FeatureStoreDefinition, service.grpcAddress, { defaultTimeoutMs: 60_000 });
  const stop = async (): Promise<void> => {
    client.close();
    await service.close();
  };
  const begin = async (): Promise<void> => {
    service = await start(config);
    client = createClient(FeatureStoreDefinition, service.grpcAddress, { defaultTimeoutMs: 60_000 });
  };
  const send: Harness['send'] = async (value, contentType, key = 'k') => {
    const headers = contentType === undefined ? {} : { 'content-type': contentType };
    await kafka.producer().send([{ topic, key, value: typeof value === 'string' ? Buffer.from(value) : value, headers }]);
  };
  return {
    get client() {
      return client;
    },
    get service() {
      return service;
    },
    kafka,
    postgresUrl: database.url,
    redisUrl: redis.url,
    flushOnline: () => redis.flush(),
    apply: async (yaml) => void (await client.apply({ definitions: definitionsOf(yaml) })),
    send,
    sendRows: (view, rows) => send(JSON.stringify({ view, rows })),
    sendAt: async (events) => {
      const producer = new Kafka({ clientId: 'test-clock', brokers: [...engines.kafkaBrokers], logLevel: logLevel.NOTHING }).producer({
        createPartitioner: Partitioners.DefaultPartitioner,
      });
      await producer.connect();
      const messages = events.map(({ view, row, arrivedMs }) => ({
        key: 'k',
        value: JSON.stringify({ view, rows: [row] }),
        timestamp: String(arrivedMs),
      }));
      await producer.send({ topic: topicPrefix + topic, messages });
      await producer.disconnect();
    },
    settled: async () => {
      await eventually(
        'all events are handled',
        async () => (await kafka.admin().lag('feature-store', topic)).every(({ lag }) => lag === 0n),
        { withinMs: 60_000 },
      );
    },
    deadLetters: async () => (await dead.all()).map(toDeadLetter),
    offlineRows: async (view) => (await client.listViews({})).views.find((v) => v.name === view)?.offlineRows ?? -1,
    restart: async () => {
      await stop();
      await begin();
    },
    stop,
    start: begin,
    close: async () => {
      await stop();
      await dead.stop();
      await kafka.close();
      await database.drop();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

export function definitionsOf(yaml: string): Definition[] {
  return parseDefinitionsFile(yaml, 'test.yaml').map(({ kind, name, spec }) => ({
    kind,
    name,
    spec: JSON.parse(JSON.stringify(spec)) as Definition['spec'],
  }));
}

/** Follows a topic from its beginning; `all` waits for what lies there now. */
export async function follow(
  kafka: KafkaClients,
  topic: string,
  group = 'test-reader',
): Promise<{ all(): Promise<RawRecord[]>; stop(): Promise<void> }> {
  const records: RawRecord[] = [];
  const consumer = kafka.consumer({
    topic,
    group,
    from: 'earliest',
    concurrency: 1,
    sessionTimeoutMs: 10_000,
    onBatch: async (batch) => {
      records.push(...batch.records);
      await batch.commit((BigInt(batch.records.at(-1)!.offset) + 1n).toString());
    },
  });
  await consumer.start();
  return {
    all: async () => {
      const expected = (await kafka.admin().offsets(topic)).reduce((sum, { low, high }) => sum + Number(high - low), 0);
      await eventually('the topic is read', () => records.length >= expected, { everyMs: 5 });
      return [...records];
    },
    stop: () => consumer.stop(),
  };
}

function toDeadLetter({ headers, value }: RawRecord): DeadLetter {
  return {
    code: headers['dead-code'] ?? '',
    reason: headers['dead-reason'] ?? '',
    value: Buffer.from(value ?? []).toString(),
    contentType: headers['content-type'] ?? '',
  };
}
