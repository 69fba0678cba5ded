import { ServingAdminDefinition } from '@headrace/contracts/serving/v1/serving';
import { modelChanged, predictionsLogged, rolloutChanged } from '@headrace/events/catalog';
import { bindGrpc } from '@headrace/platform/grpc/server';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { EventRunner } from '@headrace/platform/kafka/runner';
import { Log } from '@headrace/platform/log';
import { Siblings } from '@headrace/platform/processes/siblings';
import { startService, type Background, type RunningService } from '@headrace/platform/service';
import { Telemetry as PlatformTelemetry } from '@headrace/platform/telemetry';
import { messageOf } from '@headrace/base/errors';
import type { INestApplication } from '@nestjs/common';
import { RegistryFollower } from './app/follow-registry.js';
import { AppModule } from './app.module.js';
import { loadConfig, type Config } from './config.js';
import { OnModelChanged } from './events/on-model-changed.js';
import { subscriptions } from './events/subscriptions.js';
import { guard } from './guard.js';
import { InferenceGrpc } from './rpc/inference-grpc.js';
import { InferenceHttp } from './rpc/inference-http.js';
import { PredictionDoor } from './rpc/prediction-door.js';
import { ServingAdmin } from './rpc/serving-admin.js';

/** Without Kafka the service starts all the same, and hears of swaps by asking the registry. */
const KAFKA_START_WAIT_MS = 2_000;

/** Serving, ready to answer. The only way in, for main.ts and for tests. */
export function start(overrides: Partial<Config> = {}): Promise<RunningService> {
  const config = loadConfig(overrides);
  const siblings = new Siblings(config.slot);
  return startService({
    name: 'serving',
    config,
    module: AppModule.forRoot(config, siblings),
    guard,
    siblings,
    configureHttp: (server, app) => app.get(InferenceHttp).install(server),
    grpc: (app) => [
      app.get(PredictionDoor).service(),
      app.get(InferenceGrpc).service(),
      bindGrpc(ServingAdminDefinition, app.get(ServingAdmin)),
    ],
    background: (app) => [topics(app), eventRunner(app, config), app.get(RegistryFollower)],
    // No checks: predictions by value depend on this process alone, and must not stop because Redis, Kafka or the registry is away.
  });
}

function eventRunner(app: INestApplication, config: Config): EventRunner {
  return new EventRunner(app.get(KafkaClients), app.get(EventPublisher), app.get(PlatformTelemetry), app.get(Log), {
    subscriptions: subscriptions(app.get(OnModelChanged), config),
    startWaitMs: KAFKA_START_WAIT_MS,
  });
}

/** The topics that we write to. Nobody waits for it: a producer that finds none fails, and tries again. */
function topics(app: INestApplication): Background {
  const log = app.get(Log);
  return {
    name: 'topics',
    start: () => {
      app
        .get(KafkaClients)
        .admin()
        .ensureTopics([modelChanged, rolloutChanged, predictionsLogged])
        .catch((error: unknown) => log.warn('topics could not be made yet', { error: messageOf(error) }));
      return Promise.resolve();
    },
    stop: () => Promise.resolve(),
  };
}
