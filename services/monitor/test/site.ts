import { AppError } from '@headrace/base/errors';
import { newId } from '@headrace/base/ids';
import { Model, RegistryDefinition, Version } from '@headrace/contracts/registry/v1/registry';
import { MonitorDefinition } from '@headrace/contracts/monitoring/v1/monitoring';
import type { EventType } from '@headrace/events/catalog';
import { fromRecord, type Envelope, type OutgoingRecord } from '@headrace/events/envelope';
import { Guard } from '@headrace/platform/guard';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { bindGrpc, startGrpcServer, type Implementation, type RunningGrpcServer } from '@headrace/platform/grpc/server';
import type { EventConsumer } from '@headrace/platform/kafka/client';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { Log } from '@headrace/platform/log';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { RunningService } from '@headrace/platform/service';
import { Telemetry } from '@headrace/platform/telemetry';
import { freshDatabase, freshTopicPrefix, useEngines, type FreshDatabase } from '@headrace/testkit/engines';
import type { Config } from '../src/config.js';
import { start } from '../src/start.js';

const log = Log.create('monitor-test', 'silent');

/** A registry that holds what the test puts into it: real gRPC, real messages. */
export class FakeRegistry {
  readonly models = new Map<string, Model>();
  readonly versions = new Map<string, Version>();
  #server: RunningGrpcServer | undefined;
  #port = 0;

  async open(): Promise<this> {
    const refuse = (): never => {
      throw new AppError('NOT_FOUND', 'the test registry only reads');
    };
    const implementation: Implementation<typeof RegistryDefinition> = {
      getModel: async ({ project, model }) => this.models.get(`${project}/${model}`) ?? notFound('MODEL_UNKNOWN', model),
      getVersion: async ({ project, model, version }) =>
        this.versions.get(`${project}/${model}/${version}`) ?? notFound('VERSION_UNKNOWN', model),
      applyModel: refuse,
      listModels: refuse,
      registerVersion: refuse,
      listVersions: refuse,
      setAlias: refuse,
    };
    const service = bindGrpc(RegistryDefinition, implementation);
    const guard = new Guard(
      { http: {}, grpc: Object.fromEntries(service.methods.map((method) => [method.path, 'public' as const])), topics: {} },
      '',
    );
    const telemetry = new Telemetry({ service: 'registry', instance: 'test', otlpEndpoint: '', sampleRatio: 0 });
    this.#server = await startGrpcServer({ host: '127.0.0.1', port: this.#port, services: [service], guard, telemetry, log });
    this.#port = Number(this.#server.address.split(':')[1]);
    return this;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async close(): Promise<void> {
    await this.#server?.close(0);
    this.#server = undefined;
  }

  define(project: string, model: string, spec: Record<string, unknown>, champion = 1): void {
    this.models.set(`${project}/${model}`, Model.create({ project, name: model, definitionVersion: 1, spec, aliases: { champion } }));
  }

  register(
    project: string,
    model: string,
    version: number,
    protectedNames: readonly string[],
    baseline: Record<string, unknown> | undefined,
  ): void {
    this.versions.set(
      `${project}/${model}/${version}`,
      Version.create({
        project,
        model,
        version,
        baseline,
        signature: {
          protectedFeatures: protectedNames.map((name) => ({ name, reference: `person:${name}`, type: 'int64', categorical: true })),
        },
      }),
    );
  }
}

function notFound(code: 'MODEL_UNKNOWN' | 'VERSION_UNKNOWN', what: string): never {
  throw new AppError(code, `nothing here is called ${what}`);
}

/** A monitor on real engines, with what a test needs around it. */
export class Site {
  readonly heard: { readonly topic: string; readonly value: Uint8Array; readonly headers: Record<string, string> }[] = [];
  readonly #consumers: EventConsumer[] = [];
  service!: RunningService;
  client!: Client<typeof MonitorDefinition>;

  private constructor(
    readonly registry: FakeRegistry,
    readonly database: FreshDatabase,
    readonly postgres: Postgres,
    readonly kafka: KafkaClients,
    readonly events: EventPublisher,
    readonly overrides: Partial<Config>,
  ) {}

  static async open(overrides: Partial<Config> = {}): Promise<Site> {
    const { kafkaBrokers } = useEngines();
    const topicPrefix = overrides.topicPrefix ?? freshTopicPrefix('monitor');
    const [registry, database] = await Promise.all([new FakeRegistry().open(), freshDatabase('monitor')]);
    const kafka = new KafkaClients({ brokers: kafkaBrokers, client: 'kafkajs', clientId: 'monitor-test', topicPrefix }, log);
    const telemetry = new Telemetry({ service: 'test', instance: 'test', otlpEndpoint: '', sampleRatio: 0 });
    const config = {
      httpPort: 0,
      grpcPort: 0,
      kafkaBrokers,
      topicPrefix,
      postgresUrl: database.url,
      registryGrpc: registry.address,
      logLevel: 'warn',
      judgeEveryMs: 50,
      ...overrides,
    } as Partial<Config>;
    const site = new Site(
      registry,
      database,
      new Postgres({ url: database.url, name: 'monitor-test', poolMax: 3 }, log),
      kafka,
      new EventPublisher(kafka, '/test', telemetry),
      config,
    );
    await site.start();
    return site;
  }

  async start(): Promise<void> {
    this.service = await start(this.overrides);
    this.client = createClient(MonitorDefinition, this.service.grpcAddress);
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.service.close();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Collects everything on a topic from its beginning into `heard`. */
  async listen(topic: string, owner: EventType<never>): Promise<void> {
    await this.kafka.ensureTopics([owner]);
    const consumer = this.kafka.consumer({
      topic,
      group: `listen-${newId()}`,
      from: 'earliest',
      concurrency: 1,
      sessionTimeoutMs: 10_000,
      onBatch: async (batch) => {
        for (const record of batch.records)
          this.heard.push({ topic, value: record.value ?? new Uint8Array(), headers: { ...record.headers } });
        await batch.commit((BigInt(batch.records.at(-1)!.offset) + 1n).toString());
      },
    });
    await consumer.start();
    this.#consumers.push(consumer);
  }

  heardOf<T>(type: EventType<T>, project: string): Envelope<T>[] {
    return this.heard
      .filter((r) => r.topic === type.topic)
      .map((r) => fromRecord(type, r.value, r.headers, ''))
      .filter((e) => type.project(e.event) === project);
  }

  send(records: readonly OutgoingRecord[]): Promise<void> {
    return this.events.send(records);
  }

  async metric(name: string): Promise<string[]> {
    const text = await (await fetch(`${this.service.httpUrl}/metrics`)).text();
    return text.split('\n').filter((line) => line.startsWith(name));
  }

  async close(): Promise<void> {
    for (const consumer of this.#consumers) await consumer.stop();
    await this.stop(); // safe when it was stopped before
    await this.kafka.close();
    await this.postgres.close();
    await this.registry.close();
    await this.database.drop();
  }
}
