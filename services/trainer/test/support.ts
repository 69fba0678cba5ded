import { TrainerDefinition, type Run, type RunState } from '@headrace/contracts/training/v1/training';
import type { TrainingRunChanged } from '@headrace/contracts/events/v1/events';
import { trainingRequested, trainingRunChanged, deadLetterTopic, type EventType } from '@headrace/events/catalog';
import { fromRecord, type Envelope } from '@headrace/events/envelope';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { Log } from '@headrace/platform/log';
import type { RunningService } from '@headrace/platform/service';
import { testCacheDir } from '@headrace/testkit/config';
import { freshDatabase, freshTopicPrefix, useEngines } from '@headrace/testkit/engines';
import { eventually } from '@headrace/testkit/eventually';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installerEnvironment, type Config } from '../src/config.js';
import { ensurePython } from '../src/io/python-runtime.js';
import { start } from '../src/start.js';
import { startWorker, type RunningWorker } from '../src/worker.js';
import { fakeFeatureStore, fakeRegistry, type FakeFeatureStore, type FakeRegistry } from './fakes.js';

/** Made once and shared with `npm start`. */
export const pythonHome = join(testCacheDir(), '..', 'python');

const feature = (name: string, type: string, categorical = false) => ({ name, type, categorical });
const VIEWS = [
  {
    name: 'person',
    spec: {
      entity: 'person',
      features: [
        feature('age', 'int64'),
        feature('income', 'float64'),
        feature('member', 'bool', true),
        feature('sector', 'int64', true),
        feature('town', 'string', true),
        feature('group', 'int64', true),
      ],
    },
  },
  { name: 'outcome', spec: { entity: 'person', online: false, features: [feature('label', 'int64', true)] } },
].map((view) => ({ ...view, version: 1, contentHash: 'v'.repeat(64), offlineRows: 1, joinKeys: ['person_id'] }));

export const smallSpec = {
  entity: 'person',
  features: ['person:age', 'person:income', 'person:member', 'person:sector', 'person:town'],
  label: { view: 'outcome', feature: 'label' },
  protected: ['person:group'],
  trainingWindow: { from: '2015-01-01T00:00:00Z', to: '2016-01-01T00:00:00Z' },
  learner: { kind: 'lightgbm', params: { n_estimators: 20, min_child_samples: 5 } },
  retrain: { on: ['bias'], mitigation: 'reweighing', cooldown: '10m' },
};

const COLUMNS = [
  'person_id',
  'event_time',
  'person__age',
  'person__income',
  'person__member',
  'person__sector',
  'person__town',
  'person__group',
  'label',
];

export interface Trainer {
  readonly service: RunningService;
  readonly client: Client<typeof TrainerDefinition>;
  readonly featureStore: FakeFeatureStore;
  readonly registry: FakeRegistry;
  readonly config: Partial<Config>;
  readonly kafka: KafkaClients;
  /** A worker inside the test's process. */
  worker(overrides?: Partial<Config>): Promise<RunningWorker>;
  /** A worker in a process of its own, ready. */
  workerProcess(): Promise<ChildProcess>;
  request(model: string, requestId: string, more?: object): Promise<Run>;
  until(runId: string, state: RunState): Promise<Run>;
  /** States of a run, in the order of its events. */
  states(runId: string): string[];
  events(): readonly Envelope<TrainingRunChanged>[];
  deadLetters(): readonly Record<string, string>[];
  sendRaw(value: string, headers?: Record<string, string>): Promise<void>;
  close(): Promise<void>;
}

export async function openTrainer(overrides: Partial<Config> = {}): Promise<Trainer> {
  const engines = useEngines();
  const database = await freshDatabase('trainer');
  const topicPrefix = freshTopicPrefix('trainer');
  const stateDir = mkdtempSync(join(tmpdir(), 'headrace-trainer-'));
  const python = await ensurePython({ home: pythonHome, environment: installerEnvironment(), report: (text) => console.info(text) });
  execFileSync(python.python, [join(python.packageDir, 'tests', 'make_small_set.py'), '--out', join(stateDir, 'small'), '--rows', '600'], {
    env: { ...installerEnvironment(), PYTHONPATH: python.sourceDir, PYTHONDONTWRITEBYTECODE: '1' },
  });
  const featureStore = await fakeFeatureStore(readFileSync(join(stateDir, 'small', 'training-set.parquet')), VIEWS, COLUMNS);
  const registry = await fakeRegistry();
  registry.models.set('small', smallSpec);

  const config: Partial<Config> = {
    ...{
      httpPort: 0,
      grpcPort: 0,
      postgresUrl: database.url,
      kafkaBrokers: engines.kafkaBrokers,
      topicPrefix,
      stateDir,
      pythonHome,
      logLevel: 'error',
    },
    ...{
      featureStoreGrpc: featureStore.grpc,
      featureStoreHttp: featureStore.http,
      registryGrpc: registry.grpc,
      registryHttp: registry.http,
    },
    ...{ leaseMs: 1_500, pollMs: 50, backoffMs: 50, attemptsMax: 4, ...overrides },
  };
  const kafka = new KafkaClients(
    { brokers: engines.kafkaBrokers, client: 'kafkajs', clientId: 'test', topicPrefix },
    Log.create('trainer', 'silent'),
  );
  await kafka.admin().ensureTopics([trainingRequested, trainingRunChanged]);
  const seen: Envelope<TrainingRunChanged>[] = [];
  const dead: Record<string, string>[] = [];
  const consumers = [
    await follow(
      kafka,
      trainingRunChanged.topic,
      (value, headers) => void seen.push(fromRecord(trainingRunChanged as EventType<TrainingRunChanged>, value, headers, '')),
    ),
    await follow(kafka, deadLetterTopic(trainingRequested.topic), (_value, headers) => void dead.push(headers)),
  ];
  const service = await start(config);
  const client = createClient(TrainerDefinition, service.grpcAddress);
  const workers: RunningWorker[] = [];
  const children: ChildProcess[] = [];
  return {
    ...{ service, client, featureStore, registry, config, kafka },
    worker: async (more = {}) => {
      const worker = await startWorker({ ...config, ...more });
      workers.push(worker);
      return worker;
    },
    workerProcess: async () => {
      const child = spawnWorker(config);
      children.push(child);
      await new Promise<void>((resolve, reject) => {
        child.stdout!.once('data', () => resolve());
        child.once('exit', (code) => reject(new Error(`the worker ended with code ${code} before it was ready`)));
      });
      return child;
    },
    request: (model, requestId, more = {}) => client.requestRun({ model, requestId, ...more }),
    until: (runId, state) =>
      eventually(
        `run ${runId} is ${state}`,
        async () => {
          const run = await client.getRun({ runId });
          if (run.state !== state) throw new Error(`it is ${run.state} at ${run.step}: ${run.failure}`);
          return run;
        },
        { withinMs: 60_000, everyMs: 50 },
      ),
    states: (runId) =>
      seen.filter((e) => e.event.run?.runId === runId).map((e) => e.event.run!.state.replace('RUN_STATE_', '').toLowerCase()),
    events: () => seen,
    deadLetters: () => dead,
    sendRaw: (value, headers = {}) =>
      kafka.producer().send([{ topic: trainingRequested.topic, key: 'test', value: Buffer.from(value), headers }]),
    close: async () => {
      for (const child of children) child.kill('SIGKILL');
      for (const worker of workers) await worker.close();
      client.close();
      await service.close();
      for (const consumer of consumers) await consumer.stop();
      await kafka.close();
      await featureStore.close();
      await registry.close();
      await database.drop();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

async function follow(
  kafka: KafkaClients,
  topic: string,
  onRecord: (value: Uint8Array, headers: Record<string, string>) => void,
): Promise<{ stop(): Promise<void> }> {
  const consumer = kafka.consumer({
    ...{ topic, group: `test-${topic}`, from: 'earliest', concurrency: 1, sessionTimeoutMs: 10_000 },
    onBatch: async (batch) => {
      for (const record of batch.records) onRecord(record.value ?? new Uint8Array(), record.headers);
      await batch.commit(String(BigInt(batch.records.at(-1)!.offset) + 1n));
    },
  });
  await consumer.start();
  return consumer;
}

/** Real `node` on the sources, so that it can be killed without the test. */
function spawnWorker(config: Partial<Config>): ChildProcess {
  const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  const environment = {
    ...installerEnvironment(),
    HEADRACE_POSTGRES_URL: config.postgresUrl!,
    HEADRACE_STATE: config.stateDir!,
    HEADRACE_PYTHON_HOME: config.pythonHome!,
    HEADRACE_FEATURE_STORE_GRPC: config.featureStoreGrpc!,
    HEADRACE_FEATURE_STORE_HTTP: config.featureStoreHttp!,
    HEADRACE_REGISTRY_GRPC: config.registryGrpc!,
    HEADRACE_REGISTRY_HTTP: config.registryHttp!,
    HEADRACE_TRAINER_LEASE_MS: String(config.leaseMs),
    HEADRACE_TRAINER_POLL_MS: String(config.pollMs),
    HEADRACE_TRAINER_BACKOFF_MS: String(config.backoffMs),
    HEADRACE_LOG_LEVEL: 'error',
  };
  return spawn(process.execPath, ['--conditions=source', '--import', at('./from-source.mjs'), at('../src/worker.ts')], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}
