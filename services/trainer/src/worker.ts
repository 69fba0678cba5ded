import 'reflect-metadata';
import { AssertionFailed } from '@headrace/base/assert';
import { FeatureStoreDefinition } from '@headrace/contracts/features/v1/features';
import { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { createClient } from '@headrace/platform/grpc/client';
import { EventPublisher, type PublisherClients } from '@headrace/platform/kafka/publisher';
import { Log } from '@headrace/platform/log';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { runMain } from '@headrace/platform/service';
import { Telemetry as PlatformTelemetry } from '@headrace/platform/telemetry';
import { TlsCertificates } from '@headrace/platform/tls/tls-certificates';
import { plainTextWarnings } from '@headrace/platform/tls/plain-text';
import { newId } from '@headrace/base/ids';
import { resolve } from 'node:path';
import { ExpireLeases } from './app/expire-leases.js';
import { RunSteps } from './app/run-steps.js';
import { trainModel } from './app/train-model.js';
import { Worker } from './app/work.js';
import { installerEnvironment, loadConfig, pythonHomeOf, trainingEnvironment, type Config } from './config.js';
import { machineResources } from './io/machine.js';
import { ensurePython } from './io/python-runtime.js';
import { WorkFolders } from './io/work-folders.js';
import { migrateTables } from './migrate-tables.js';
import { Telemetry } from './telemetry.js';

/** A worker's events leave by the outbox alone; the relay of the service sends them. */
const NO_KAFKA: PublisherClients = {
  producer: () => {
    throw new AssertionFailed('a worker publishes nothing directly');
  },
  ensureTopics: () => Promise.resolve(),
};

export interface RunningWorker {
  readonly name: 'trainer';
  readonly workerId: string;
  /** Takes changed certificate files into use now; only where some are configured. */
  readonly reload?: () => Promise<void>;
  /** Gives the run in hand back to the queue. Idempotent. */
  close(): Promise<void>;
}

/** A worker process: prepares Python (once), then takes runs from the queue. It opens no door; its heartbeat is in the table `workers`. */
export async function startWorker(overrides: Partial<Config> = {}): Promise<RunningWorker> {
  const config = loadConfig(overrides);
  const workerId = `${config.instance}-${newId().slice(-6)}`;
  const log = Log.create('trainer', config.logLevel, workerId);
  // A worker opens no door.
  for (const warning of plainTextWarnings({ ...config, host: '127.0.0.1' })) log.warn(warning);
  await migrateTables(config);
  const runtime = await ensurePython({ home: pythonHomeOf(config), environment: installerEnvironment(), report: (text) => log.info(text) });
  const machine = await machineResources();

  const platformTelemetry = new PlatformTelemetry({
    service: 'trainer',
    instance: workerId,
    otlpEndpoint: config.otlpEndpoint,
    sampleRatio: config.traceSampleRatio,
  });
  const postgres = new Postgres({ url: config.postgresUrl, poolMax: 3, name: 'headrace-trainer-worker' }, log);
  const publisher = new EventPublisher(NO_KAFKA, '/headrace/trainer', platformTelemetry);
  const steps = new RunSteps(publisher);
  const tls = new TlsCertificates(config, config.tlsReloadMs, log);
  const clientOptions = { apiKey: config.apiKey, tls: tls.peers };
  const registry = createClient(RegistryDefinition, config.registryGrpc, clientOptions);
  const featureStore = createClient(FeatureStoreDefinition, config.featureStoreGrpc, clientOptions);
  const tools = {
    ...{ registry, registryHttp: config.registryHttp, featureStore, featureStoreHttp: config.featureStoreHttp },
    ...{ apiKey: config.apiKey, fetch: tls.fetch, runtime, environment: trainingEnvironment(), cpus: machine.cpus },
  };
  const worker = new Worker(
    { workerId, leaseMs: config.leaseMs, pollMs: config.pollMs, runLimitMs: config.runLimitMs, limits: config },
    {
      ...{ postgres, steps, machine, log },
      leases: new ExpireLeases(postgres, steps, config),
      folders: new WorkFolders(resolve(config.stateDir, 'trainer', 'runs'), config.keepRuns),
      telemetry: new Telemetry(platformTelemetry, log),
      train: (attempt) => trainModel(tools, attempt),
    },
  );
  worker.start();
  log.info('worker is ready', { cpus: machine.cpus, memoryBytes: machine.memoryBytes, gpus: machine.gpus });
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    await worker.stop();
    registry.close();
    featureStore.close();
    await tls.close();
    await postgres.close();
    await platformTelemetry.close();
  };
  return { name: 'trainer', workerId, ...(tls.isUsed ? { reload: () => tls.reload() } : {}), close: () => (closing ??= close()) };
}

if (import.meta.main) runMain(() => startWorker());
