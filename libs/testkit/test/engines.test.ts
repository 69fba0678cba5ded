import { Redis } from 'ioredis';
import pg from 'pg';
import { expect, it } from 'vitest';
import { freshDatabase, freshRedis, freshTopicPrefix, useEngines } from '../src/engines.js';

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

it('gives each test file a database of its own and takes it away again', async () => {
  const [first, second] = [await freshDatabase('store'), await freshDatabase('store')];
  await query(first.url, 'create table seen (id int); insert into seen values (1)');
  expect(await query(second.url, "select to_regclass('seen') as seen")).toEqual([{ seen: null }]);
  const open = new pg.Client({ connectionString: first.url });
  open.on('error', () => undefined); // dropping throws it out
  await open.connect();
  await first.drop();
  await second.drop();
  const { postgresUrl } = useEngines();
  expect(await query(postgresUrl, `select datname from pg_database where datname in ('${first.name}', '${second.name}')`)).toEqual([]);
});

it('gives empty Redis databases that do not see each other, even when they come round again', async () => {
  const one = await freshRedis();
  const client = new Redis(one.url);
  await client.set('key', 'value');
  const urls = [];
  for (let turn = 0; turn < 63; turn++) urls.push((await freshRedis()).url);
  expect(new Set(urls).size).toBe(63);
  expect(urls.at(-1)).toBe(one.url);
  expect(await client.exists('key')).toBe(0);
  client.disconnect();
});

it('never deals the same topic prefix twice', () => {
  const prefixes = Array.from({ length: 1_000 }, () => freshTopicPrefix());
  expect(new Set(prefixes).size).toBe(1_000);
  expect(prefixes[0]).toMatch(/^[A-Za-z0-9._-]+$/);
});
