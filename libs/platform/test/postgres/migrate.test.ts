import { migrate, migratePlatform } from '../../src/postgres/migrate.js';
import { Postgres } from '../../src/postgres/postgres.js';
import { freshDatabase, type FreshDatabase } from '@headrace/testkit/engines';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RecordingLog } from '../recording-log.js';

let database: FreshDatabase;
let postgres: Postgres;
let folder: string;
let log: RecordingLog;

beforeEach(async () => {
  log = new RecordingLog();
  database = await freshDatabase('migrate');
  postgres = new Postgres({ url: database.url, name: 'migrate-test' }, log);
  folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  await writeFile(join(folder, '001-first.sql'), 'CREATE TABLE first (id int); INSERT INTO first VALUES (1);');
  await writeFile(join(folder, '002-second.sql'), 'CREATE TABLE second (id int);');
});

afterEach(async () => {
  await postgres.close();
  await database.drop();
  await rm(folder, { recursive: true });
});

const run = (): Promise<void> => migrate(postgres, folder, 'shop', log);

it('applies each file once, in order, also when five processes start together', async () => {
  await Promise.all([run(), run(), run(), run(), run()]);
  await run();
  expect(await postgres.query('SELECT id FROM first')).toEqual([{ id: 1 }]);
  expect(log.lines.map((line) => line.fields)).toEqual([
    { set: 'shop', file: '001-first.sql' },
    { set: 'shop', file: '002-second.sql' },
  ]);
  await writeFile(join(folder, '003-third.sql'), 'CREATE TABLE third (id int);');
  await run();
  expect(await postgres.query(`SELECT number FROM platform_migrations WHERE set_name = 'shop' ORDER BY number`)).toEqual([
    { number: 1 },
    { number: 2 },
    { number: 3 },
  ]);
});

it('keeps the sets of different owners apart', async () => {
  await run();
  await migratePlatform(postgres, log);
  await migratePlatform(postgres, log);
  expect(await postgres.query('SELECT DISTINCT set_name FROM platform_migrations ORDER BY 1')).toEqual([
    { set_name: 'platform' },
    { set_name: 'shop' },
  ]);
});

it('refuses a file that was changed after it had been applied', async () => {
  await run();
  await writeFile(join(folder, '001-first.sql'), 'CREATE TABLE first (id bigint);');
  await expect(run()).rejects.toThrow(
    'migrations of shop: 001-first.sql was changed after it had been applied; restore its text and put the change into a new migration',
  );
});

it('refuses a folder in which an applied file is missing', async () => {
  await run();
  await rm(join(folder, '002-second.sql'));
  await expect(run()).rejects.toThrow(/002-second\.sql was applied but its file is missing/);
});

it('refuses a file that was slipped in below an applied one', async () => {
  await rename(join(folder, '002-second.sql'), join(folder, '003-second.sql'));
  await run();
  await writeFile(join(folder, '002-late.sql'), 'CREATE TABLE late (id int);');
  await expect(run()).rejects.toThrow(/002-late\.sql is not applied but a higher number \(3\) is; give it the next free number/);
});

it('refuses names without a number and numbers that stand twice', async () => {
  await writeFile(join(folder, '2-short.sql'), '');
  await expect(run()).rejects.toThrow(/2-short\.sql is not named NNN-what-it-does\.sql/);
  await rename(join(folder, '2-short.sql'), join(folder, '002-twice.sql'));
  await expect(run()).rejects.toThrow(/002-second\.sql and 002-twice\.sql have the same number/);
});

it('applies nothing of a set when one file fails, and names the file', async () => {
  await writeFile(join(folder, '003-broken.sql'), 'CREATE TABEL third (id int);');
  await expect(run()).rejects.toThrow(/003-broken\.sql failed and nothing was applied: syntax error/);
  expect(await postgres.query(`SELECT to_regclass('first') AS found`)).toEqual([{ found: null }]);
});
