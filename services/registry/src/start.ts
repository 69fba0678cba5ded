import { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { bindGrpc } from '@headrace/platform/grpc/server';
import { Log } from '@headrace/platform/log';
import { migrate, migratePlatform } from '@headrace/platform/postgres/migrate';
import { OutboxRelay } from '@headrace/platform/postgres/outbox';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { startService, type RunningService } from '@headrace/platform/service';
import type { FastifyInstance } from 'fastify';
import { AppModule } from './app.module.js';
import { KeepArtifacts } from './app/keep-artifacts.js';
import { loadConfig, type Config } from './config.js';
import { guard } from './guard.js';
import { RegistryRpc } from './rpc/registry-rpc.js';

const migrations = new URL('../migrations/', import.meta.url);

/** The registry, ready to answer. The only way in, for main.ts and for tests. */
export async function start(overrides: Partial<Config> = {}): Promise<RunningService> {
  const config = loadConfig(overrides);
  await migrateTables(config);
  return startService({
    name: 'registry',
    config,
    module: AppModule.forRoot(config),
    guard,
    configureHttp: streamBodies,
    grpc: (app) => [bindGrpc(RegistryDefinition, app.get(RegistryRpc))],
    background: (app) => [
      app.get(OutboxRelay),
      { name: 'upload sweep', start: () => app.get(KeepArtifacts).sweep(), stop: () => Promise.resolve() },
    ],
    checks: (app) => ({ postgres: () => app.get(Postgres).check() }),
  });
}

/** Before any door opens, with a connection of its own. */
async function migrateTables(config: Config): Promise<void> {
  const log = Log.create('registry', config.logLevel, config.instance);
  const postgres = new Postgres({ url: config.postgresUrl, name: 'headrace-registry-migrations', poolMax: 1 }, log);
  try {
    await migratePlatform(postgres, log);
    await migrate(postgres, migrations, 'registry', log);
  } finally {
    await postgres.close();
  }
}

/** Artefacts stream to disk: the body is handed on unread, and the store counts its bytes. */
function streamBodies(server: FastifyInstance): void {
  server.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
}
