import { MonitorDefinition } from '@headrace/contracts/monitoring/v1/monitoring';
import { bindGrpc } from '@headrace/platform/grpc/server';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { EventRunner } from '@headrace/platform/kafka/runner';
import { Log } from '@headrace/platform/log';
import { migrate, migratePlatform } from '@headrace/platform/postgres/migrate';
import { OutboxRelay } from '@headrace/platform/postgres/outbox';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { startService, type RunningService } from '@headrace/platform/service';
import { Telemetry as PlatformTelemetry } from '@headrace/platform/telemetry';
import { AppModule } from './app.module.js';
import { JudgingLoop } from './app/judging-loop.js';
import { Sweep } from './app/sweep.js';
import { UnparkBatches } from './app/unpark-batches.js';
import { loadConfig, type Config } from './config.js';
import { subscriptions } from './events/subscriptions.js';
import { guard } from './guard.js';
import { MonitorRpc } from './rpc/monitor-rpc.js';

const migrations = new URL('../migrations/', import.meta.url);

/** The monitor, ready to answer. The only way in, for main.ts and for tests. */
export async function start(overrides: Partial<Config> = {}): Promise<RunningService> {
  const config = loadConfig(overrides);
  await migrateTables(config);
  return startService({
    name: 'monitor',
    config,
    module: AppModule.forRoot(config),
    guard,
    grpc: (app) => [bindGrpc(MonitorDefinition, app.get(MonitorRpc))],
    // Stopped in reverse: the consumers first, then what they feed.
    background: (app) => [
      app.get(OutboxRelay),
      app.get(Sweep),
      app.get(JudgingLoop),
      app.get(UnparkBatches),
      new EventRunner(app.get(KafkaClients), app.get(EventPublisher), app.get(PlatformTelemetry), app.get(Log), {
        subscriptions: subscriptions(app),
      }),
    ],
    checks: (app) => ({ postgres: () => app.get(Postgres).check() }),
  });
}

/** Before any door opens, with a connection of its own. */
async function migrateTables(config: Config): Promise<void> {
  const log = Log.create('monitor', config.logLevel, config.instance);
  const postgres = new Postgres({ url: config.postgresUrl, name: 'headrace-monitor-migrations', poolMax: 1 }, log);
  try {
    await migratePlatform(postgres, log);
    await migrate(postgres, migrations, 'monitor', log);
  } finally {
    await postgres.close();
  }
}
