import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import pg from 'pg';
import { inject } from 'vitest';
import { AppError } from '@headrace/base/errors';
import type { TestEngineUrls } from './vitest-global-setup.js';

/** Real Kafka, Postgres and Redis of this test run. Only files of the `engines` project (`test/` folders) have them. */
export function useEngines(): TestEngineUrls {
  const engines = inject('engines') as TestEngineUrls | undefined;
  if (engines === undefined)
    throw new AppError(
      'CONFIG_INVALID',
      'no engines in this vitest project: put the test into a `test/` folder, whose project starts them',
    );
  return engines;
}

export interface FreshDatabase {
  readonly name: string;
  readonly url: string;
  /** Also throws connections out that are still open. */
  drop(): Promise<void>;
}

/** A new, empty Postgres database that no other test file sees. */
export async function freshDatabase(name = 'test'): Promise<FreshDatabase> {
  const { postgresUrl } = useEngines();
  const database = `${name
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]/g, '_')
    .slice(0, 40)}_${uniqueSuffix()}`;
  await sql(postgresUrl, `create database "${database}"`);
  const url = new URL(postgresUrl);
  url.pathname = `/${database}`;
  return { name: database, url: url.href, drop: () => sql(postgresUrl, `drop database if exists "${database}" with (force)`) };
}

/** Put before each topic and group name, so that test files that share the broker never read each other's events. */
export function freshTopicPrefix(name = 'test'): string {
  return `${name}-${uniqueSuffix()}.`;
}

export interface FreshRedis {
  /** Names a logical database of its own. */
  readonly url: string;
  flush(): Promise<void>;
}

/** Our servers have 64 logical databases; 0 holds the counter that deals the others out. */
const REDIS_DATABASES = 63;

/** An empty logical Redis database. They are dealt out in turn, so one file may take up to 63 at a time. */
export async function freshRedis(): Promise<FreshRedis> {
  const { redisUrl } = useEngines();
  const turn = await redis(redisUrl, (client) => client.incr('headrace:test:databases'));
  const url = new URL(redisUrl);
  url.pathname = `/${1 + (turn % REDIS_DATABASES)}`;
  const flush = async (): Promise<void> => void (await redis(url.href, (client) => client.flushdb()));
  await flush();
  return { url: url.href, flush };
}

function uniqueSuffix(): string {
  return randomBytes(5).toString('hex');
}

async function sql(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function redis<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { maxRetriesPerRequest: 1, lazyConnect: true });
  await client.connect();
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}
