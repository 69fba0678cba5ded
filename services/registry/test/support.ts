import type { ModelChanged } from '@headrace/contracts/events/v1/events';
import { RegistryDefinition, type RegisterVersionRequest } from '@headrace/contracts/registry/v1/registry';
import { modelChanged } from '@headrace/events/catalog';
import { fromRecord, type Envelope } from '@headrace/events/envelope';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { Log } from '@headrace/platform/log';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { freshDatabase, freshTopicPrefix, useEngines } from '@headrace/testkit/engines';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunningService } from '@headrace/platform/service';
import type { Config } from '../src/config.js';
import { start } from '../src/start.js';

const fixture = (name: string): Buffer => readFileSync(new URL(`./fixtures/small/${name}`, import.meta.url));
const json = (name: string): Record<string, unknown> => JSON.parse(fixture(name).toString()) as Record<string, unknown>;

export const onnx = fixture('model.onnx');
export const onnxSha256 = sha256(onnx);
export const evaluation = json('result.json');

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const column = (name: string, type: string, categorical = false) => ({ name, reference: `person:${name}`, type, categorical });
const features = [
  column('age', 'int64'),
  column('income', 'float64'),
  column('member', 'bool', true),
  column('sector', 'int64', true),
  column('town', 'string', true),
];

export const smallSpec = {
  entity: 'person',
  features: features.map((f) => f.reference),
  label: { view: 'outcome', feature: 'label' },
  protected: ['person:group'],
  trainingWindow: { from: '2015-01-01T00:00:00Z', to: '2016-01-01T00:00:00Z' },
  gates: {
    quality: [{ metric: 'accuracy', floor: 0.75 }],
    relative: [{ metric: 'accuracy', maxDrop: 0.03 }],
    fairness: [{ attribute: 'group', ceiling: 0.3 }],
  },
  rollout: { promotion: 'automatic' },
};

/** What the trainer would send for the fixture. */
export function registration(runId: string, more: Partial<RegisterVersionRequest> = {}): RegisterVersionRequest {
  return {
    project: 'default',
    model: 'small',
    runId,
    artifactSha256: onnxSha256,
    signature: {
      features,
      protectedFeatures: [column('group', 'int64')],
      entityKeys: ['person_id'],
      threshold: 0.5,
      outputs: ['label', 'probabilities'],
    },
    evaluation,
    baseline: json('baseline.json'),
    golden: json('golden.json'),
    lineage: {
      trainingSetHash: 'a'.repeat(64),
      trainingSetQuery: 'select 1',
      viewHashes: { person: 'b'.repeat(64) },
      codeHash: 'c'.repeat(64),
      definitionHash: 'd'.repeat(64),
      parentVersion: 0,
      alertId: '',
      requestId: `request-of-${runId}`,
      mitigation: undefined,
    },
    ...more,
  };
}

/** The fixture's numbers with some of them changed. */
export function measured(metrics: Record<string, unknown>, gap?: number): Record<string, unknown> {
  const groups = structuredClone(evaluation.groups) as Record<string, unknown>[];
  if (gap !== undefined) groups[0]!.equal_opportunity_difference = gap;
  return { ...evaluation, metrics: { ...(evaluation.metrics as object), ...metrics }, groups };
}

export interface Registry {
  readonly service: RunningService;
  readonly client: Client<typeof RegistryDefinition>;
  readonly stateDir: string;
  upload(bytes: Uint8Array, name?: string): Promise<Response>;
  apply(name?: string, spec?: object, options?: { dryRun?: boolean }): ReturnType<Client<typeof RegistryDefinition>['applyModel']>;
  /** Everything on headrace.models.v1 so far, in order. */
  events(): Promise<Envelope<ModelChanged>[]>;
  sql(statement: string): Promise<Record<string, unknown>[]>;
  restart(): Promise<void>;
  close(): Promise<void>;
}

export async function openRegistry(overrides: Partial<Config> = {}): Promise<Registry> {
  const engines = useEngines();
  const database = await freshDatabase('registry');
  const topicPrefix = freshTopicPrefix('registry');
  const stateDir = mkdtempSync(join(tmpdir(), 'headrace-registry-'));
  const config: Partial<Config> = {
    httpPort: 0,
    grpcPort: 0,
    postgresUrl: database.url,
    kafkaBrokers: engines.kafkaBrokers,
    topicPrefix,
    stateDir,
    logLevel: 'error',
    ...overrides,
  };
  const log = Log.create('registry', 'silent');
  const kafka = new KafkaClients({ brokers: engines.kafkaBrokers, client: 'kafkajs', clientId: 'test', topicPrefix }, log);
  await kafka.admin().ensureTopics([modelChanged]);
  const seen: Envelope<ModelChanged>[] = [];
  const consumer = kafka.consumer({
    topic: modelChanged.topic,
    group: 'test',
    from: 'earliest',
    concurrency: 1,
    sessionTimeoutMs: 10_000,
    onBatch: async (batch) => {
      for (const record of batch.records) seen.push(fromRecord(modelChanged, record.value!, record.headers, record.offset));
      await batch.commit(String(BigInt(batch.records.at(-1)!.offset) + 1n));
    },
  });
  await consumer.start();
  let service = await start(config);
  let client = createClient(RegistryDefinition, service.grpcAddress);
  return {
    get service() {
      return service;
    },
    get client() {
      return client;
    },
    stateDir,
    upload: (bytes, name = sha256(bytes)) =>
      fetch(`${service.httpUrl}/artifacts/${name}`, {
        method: 'PUT',
        body: new Uint8Array(bytes),
        headers: { 'content-type': 'application/octet-stream' },
      }),
    apply: (name = 'small', spec = smallSpec, options = {}) =>
      client.applyModel({ definitions: [{ kind: 'Model', name, spec: spec as Record<string, unknown> }], ...options }),
    events: () => Promise.resolve([...seen]),
    sql: (statement) => service.app.get(Postgres).query(statement),
    restart: async () => {
      client.close();
      await service.close();
      service = await start(config);
      client = createClient(RegistryDefinition, service.grpcAddress);
    },
    close: async () => {
      client.close();
      await service.close();
      await consumer.stop();
      await kafka.close();
      await database.drop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}
