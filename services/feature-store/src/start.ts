import { BackfillsDefinition, FeatureStoreDefinition } from '@headrace/contracts/features/v1/features';
import { FeatureCatalogueDefinition } from '@headrace/contracts/features/v1/catalogue';
import { FeatureHealthDefinition } from '@headrace/contracts/features/v1/health';
import { ErasuresDefinition } from '@headrace/contracts/features/v1/erasures';
import { FeatureQualityDefinition } from '@headrace/contracts/features/v1/quality';
import { PointInTimeJoinsDefinition } from '@headrace/contracts/features/v1/joins';
import { QuarantineDefinition } from '@headrace/contracts/features/v1/quarantine';
import { bindGrpc } from '@headrace/platform/grpc/server';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { EventRunner } from '@headrace/platform/kafka/runner';
import { Log } from '@headrace/platform/log';
import { OutboxRelay } from '@headrace/platform/postgres/outbox';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { RedisClient } from '@headrace/platform/redis/redis';
import { startService, type RunningService } from '@headrace/platform/service';
import { Telemetry } from '@headrace/platform/telemetry';
import type { INestApplication } from '@nestjs/common';
import { FeatureUsage } from './app/feature-usage.js';
import { HealthWatch } from './app/health-watch.js';
import { FrameJoinWorker } from './app/frame-join-worker.js';
import { OnlineReads } from './app/online-reads.js';
import { Housekeeping } from './app/housekeeping.js';
import { QualityWatch } from './app/quality-watch.js';
import { OnlineRebuilds } from './app/rebuild-online.js';
import { RunBackfills } from './app/run-backfills.js';
import { AppModule } from './app.module.js';
import { loadConfig, type Config } from './config.js';
import { OnFeatureRows } from './events/on-feature-rows.js';
import { subscriptions } from './events/subscriptions.js';
import { guard } from './guard.js';
import { BackfillsRpc } from './rpc/backfills-rpc.js';
import { CatalogueRpc } from './rpc/catalogue-rpc.js';
import { FeatureStoreRpc } from './rpc/feature-store-rpc.js';
import { acceptFrames } from './rpc/joins-http.js';
import { ErasuresRpc } from './rpc/erasures-rpc.js';
import { QualityRpc } from './rpc/quality-rpc.js';
import { HealthRpc } from './rpc/health-rpc.js';
import { JoinsRpc } from './rpc/joins-rpc.js';
import { QuarantineRpc } from './rpc/quarantine-rpc.js';
import { withHotOnlineReads } from './rpc/online-door.js';

/** The feature store, ready to answer. The only way in, for main.ts and for tests. */
export function start(overrides: Partial<Config> = {}): Promise<RunningService> {
  const config = loadConfig(overrides);
  return startService({
    name: 'feature-store',
    config,
    module: AppModule.forRoot(config),
    guard,
    grpc: (app) => [
      withHotOnlineReads(bindGrpc(FeatureStoreDefinition, app.get(FeatureStoreRpc)), app.get(OnlineReads), app.get(FeatureStoreRpc)),
      bindGrpc(PointInTimeJoinsDefinition, app.get(JoinsRpc)),
      bindGrpc(BackfillsDefinition, app.get(BackfillsRpc)),
      bindGrpc(FeatureHealthDefinition, app.get(HealthRpc)),
      bindGrpc(FeatureCatalogueDefinition, app.get(CatalogueRpc)),
      bindGrpc(QuarantineDefinition, app.get(QuarantineRpc)),
      bindGrpc(FeatureQualityDefinition, app.get(QualityRpc)),
      bindGrpc(ErasuresDefinition, app.get(ErasuresRpc)),
    ],
    background: (app) => [
      app.get(FeatureUsage),
      app.get(OnlineRebuilds),
      app.get(FrameJoinWorker),
      app.get(RunBackfills),
      app.get(OutboxRelay),
      app.get(HealthWatch),
      app.get(QualityWatch),
      app.get(Housekeeping),
      eventRunner(app, config),
    ],
    configureHttp: acceptFrames,
    checks: (app) => ({ postgres: () => app.get(Postgres).check(), redis: () => app.get(RedisClient).check() }),
  });
}

function eventRunner(app: INestApplication, config: Config): EventRunner {
  return new EventRunner(app.get(KafkaClients), app.get(EventPublisher), app.get(Telemetry), app.get(Log), {
    subscriptions: subscriptions(app.get(OnFeatureRows), config),
  });
}
