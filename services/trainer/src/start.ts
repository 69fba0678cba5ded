import { TrainerDefinition } from '@headrace/contracts/training/v1/training';
import { trainingRequested } from '@headrace/events/catalog';
import { bindGrpc } from '@headrace/platform/grpc/server';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { EventRunner, subscribe } from '@headrace/platform/kafka/runner';
import { Log } from '@headrace/platform/log';
import { OutboxRelay } from '@headrace/platform/postgres/outbox';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { startService, type Background, type RunningService } from '@headrace/platform/service';
import { Telemetry as PlatformTelemetry } from '@headrace/platform/telemetry';
import type { INestApplication } from '@nestjs/common';
import { AppModule } from './app.module.js';
import { ExpireLeases } from './app/expire-leases.js';
import { LeaseSweeper } from './app/lease-sweeper.js';
import { loadConfig, type Config } from './config.js';
import { OnTrainingRequested } from './events/on-training-requested.js';
import { guard } from './guard.js';
import { migrateTables } from './migrate-tables.js';
import { TrainerRpc } from './rpc/trainer-rpc.js';
import { Telemetry } from './telemetry.js';

/** The trainer's doors and its queue. It never trains itself: that is worker.ts, in processes of its own. */
export async function start(overrides: Partial<Config> = {}): Promise<RunningService> {
  const config = loadConfig(overrides);
  await migrateTables(config);
  return startService({
    name: 'trainer',
    config,
    module: AppModule.forRoot(config),
    guard,
    grpc: (app) => [bindGrpc(TrainerDefinition, app.get(TrainerRpc))],
    background: (app) => background(app, config),
    checks: (app) => ({ postgres: () => app.get(Postgres).check() }),
  });
}

function background(app: INestApplication, config: Config): Background[] {
  const log = app.get(Log);
  const telemetry = app.get(PlatformTelemetry);
  const requests = app.get(OnTrainingRequested);
  const subscriptions = [subscribe(trainingRequested, { group: 'trainer', batchMax: 50, handle: (batch) => requests.handle(batch) })];
  return [
    app.get(OutboxRelay),
    new LeaseSweeper(app.get(ExpireLeases), app.get(Telemetry), log, config.leaseMs / 2),
    new EventRunner(app.get(KafkaClients), app.get(EventPublisher), telemetry, log, { subscriptions }),
  ];
}
