import { Log } from '@headrace/platform/log';
import { Postgres } from '@headrace/platform/postgres/postgres';

/** Makes the databases that are missing; one for each service, so that none can reach into another's tables. */
export async function ensureDatabases(adminUrl: string, names: readonly string[]): Promise<void> {
  const postgres = new Postgres({ url: adminUrl, name: 'headrace-cli', poolMax: 1 }, Log.create('cli', 'warn'));
  try {
    const existing = new Set((await postgres.query<{ datname: string }>('SELECT datname FROM pg_database')).map((row) => row.datname));
    // CREATE DATABASE takes no parameters; the names are constants of ours.
    for (const name of new Set(names)) if (!existing.has(name)) await postgres.execute(`CREATE DATABASE "${name}"`);
  } finally {
    await postgres.close();
  }
}

export function databaseUrl(adminUrl: string, database: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${database}`;
  return url.href;
}
