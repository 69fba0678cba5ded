import { Log } from '@headrace/platform/log';
import { migrate, migratePlatform } from '@headrace/platform/postgres/migrate';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { Config } from './config.js';

const migrations = new URL('../migrations/', import.meta.url);

/** Service and worker both do it, whichever comes first; an advisory lock keeps them apart. */
export async function migrateTables(config: Config): Promise<void> {
  const log = Log.create('trainer', config.logLevel, config.instance);
  const postgres = new Postgres({ url: config.postgresUrl, name: 'headrace-trainer-migrations', poolMax: 1 }, log);
  try {
    await migratePlatform(postgres, log);
    await migrate(postgres, migrations, 'trainer', log);
  } finally {
    await postgres.close();
  }
}
