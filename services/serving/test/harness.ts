import { compileBlobSchema, encodeBlob, type FeatureValue } from '@headrace/codec/feature-blob';
import { joinEntityKey, onlineKey } from '@headrace/codec/feature-key';
import { PredictionsLogged, RolloutChanged, type ModelChanged } from '@headrace/contracts/events/v1/events';
import { ServingAdminDefinition } from '@headrace/contracts/serving/v1/serving';
import { CATALOG, modelChanged, predictionsLogged, rolloutChanged, type EventType } from '@headrace/events/catalog';
import { toRecord } from '@headrace/events/envelope';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import type { EventConsumer } from '@headrace/platform/kafka/client';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import type { RunningService } from '@headrace/platform/service';
import { freshRedis, freshTopicPrefix, useEngines } from '@headrace/testkit/engines';
import { eventually } from '@headrace/testkit/eventually';
import { Redis } from 'ioredis';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../src/config.js';
import { start } from '../src/start.js';
import { startPeers, VIEWS, type Peers } from './peers.js';
import { PredictClient } from './predict-client.js';

/** The suites run over both transports of the service's gRPC doors. */
export const TRANSPORTS = ['wire', 'grpc-js'] as const;

const quiet = { warn: () => undefined, debug: () => undefined };

/** The real service on real engines, beside a small registry and feature store that the test tells what to say. */
export class Harness {
  readonly #service: { current: RunningService | undefined } = { current: undefined };
  readonly #consumers: EventConsumer[] = [];
  readonly logged: PredictionsLogged[] = [];
  /** The same as it lies on Kafka. */
  readonly loggedBytes: Uint8Array[] = [];
  readonly rollouts: RolloutChanged[] = [];
  client!: PredictClient;
  admin!: Client<typeof ServingAdminDefinition>;

  private constructor(
    readonly peers: Peers,
    readonly kafka: KafkaClients,
    readonly redis: Redis,
    readonly config: Partial<Config>,
  ) {}

  static async start(overrides: Partial<Config> = {}): Promise<Harness> {
    const engines = useEngines();
    const peers = await startPeers();
    const redis = await freshRedis();
    const topicPrefix = freshTopicPrefix('serving');
    const kafka = new KafkaClients({ brokers: engines.kafkaBrokers, client: 'auto', clientId: 'test', topicPrefix }, quiet);
    await kafka
      .admin()
      .ensureTopics(CATALOG.filter((e) => [modelChanged, rolloutChanged, predictionsLogged].some((wanted) => wanted.topic === e.topic)));
    const harness = new Harness(peers, kafka, new Redis(redis.url), {
      httpPort: 0,
      grpcPort: 0,
      logLevel: 'silent',
      kafkaBrokers: engines.kafkaBrokers,
      redisUrl: redis.url,
      topicPrefix,
      instance: `t-${randomBytes(4).toString('hex')}`,
      stateDir: await mkdtemp(join(tmpdir(), 'headrace-serving-')),
      registryGrpc: peers.grpcAddress,
      registryHttp: peers.httpUrl,
      featureStoreGrpc: peers.grpcAddress,
      logFlushMs: 20,
      // A machine that runs other tests beside these may stand still for longer than a caller of a real service would wait.
      redisTimeoutMs: 5_000,
      ...overrides,
    });
    const decode = (bytes: Uint8Array): PredictionsLogged => {
      harness.loggedBytes.push(bytes);
      return PredictionsLogged.decode(bytes);
    };
    await harness.#listen(predictionsLogged, { decode }, harness.logged);
    await harness.#listen(rolloutChanged, RolloutChanged, harness.rollouts);
    await harness.startService();
    return harness;
  }

  get service(): RunningService {
    return this.#service.current!;
  }

  async startService(overrides: Partial<Config> = {}): Promise<void> {
    this.#service.current = await start({ ...this.config, ...overrides });
    this.client = PredictClient.overGrpcJs(this.service.grpcAddress);
    this.admin = createClient(ServingAdminDefinition, this.service.grpcAddress);
  }

  async stopService(): Promise<void> {
    this.client.close();
    this.admin.close();
    await this.service.close();
  }

  async close(): Promise<void> {
    await this.stopService();
    await Promise.all(this.#consumers.map((consumer) => consumer.stop()));
    await this.kafka.close();
    this.redis.disconnect();
    await this.peers.close();
    await rm(this.config.stateDir!, { recursive: true, force: true });
  }

  /** The registry moves the alias, and says so. */
  async promote(model: string, version: number, how: { isSilent?: boolean } = {}): Promise<void> {
    this.peers.setChampion(model, version);
    if (!how.isSilent) await this.sayAliasSet(model, version);
  }

  sayAliasSet(model: string, version: number): Promise<void> {
    return this.#say(model, version, { $case: 'aliasSet', value: { alias: 'champion', previousVersion: 0, reason: 'test' } });
  }

  /** A new definition was applied. */
  sayDefined(model: string): Promise<void> {
    return this.#say(model, 0, { $case: 'defined', value: { definitionVersion: 2, contentHash: 'h' } });
  }

  async #say(model: string, version: number, change: ModelChanged['change']): Promise<void> {
    const event: ModelChanged = { project: 'default', model, version, change };
    const id = randomBytes(8).toString('hex');
    await this.kafka
      .producer()
      .send([toRecord(modelChanged, event, { id, source: '/test', timeMs: Date.now(), correlationId: 'chain-1' })]);
  }

  /** Promotes and waits until it answers. */
  async serve(model: string, version: number): Promise<void> {
    await this.promote(model, version);
    await eventually(`${model}/${version} is champion`, async () =>
      (await this.admin.listLoaded({})).loaded.some((l) => l.model === model && l.version === version && l.champion),
    );
  }

  /** Writes one row of a view to the online store, as the feature store would. */
  async online(view: keyof typeof VIEWS, id: string, values: FeatureValue[], eventTimeMs = Date.now()): Promise<void> {
    const schema = compileBlobSchema(VIEWS[view].features.map(({ name, type }) => ({ name, type })));
    await this.redis.set(
      onlineKey('default', 'person', joinEntityKey([id]), view),
      encodeBlob(schema, values, { eventTimeMs, ingestTimeMs: eventTimeMs, tieBreak: 0 }),
    );
  }

  async #listen<T>(type: EventType<T>, message: { decode(bytes: Uint8Array): T }, into: T[]): Promise<void> {
    const consumer = this.kafka.consumer({
      topic: type.topic,
      group: `test-${randomBytes(4).toString('hex')}`,
      from: 'earliest',
      concurrency: 4,
      sessionTimeoutMs: 10_000,
      onBatch: async (batch) => {
        for (const record of batch.records) into.push(message.decode(record.value!));
        await batch.commit(String(BigInt(batch.records.at(-1)!.offset) + 1n));
      },
    });
    await consumer.start();
    this.#consumers.push(consumer);
  }
}
