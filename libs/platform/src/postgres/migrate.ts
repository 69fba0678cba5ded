import { AppError } from '@headrace/base/errors';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Log } from '../log.js';
import type { Postgres, Tx } from './postgres.js';

/** Longest that all pending files of a set may take, the wait for another process that migrates included. */
const MIGRATION_TIMEOUT_MS = 600_000;
const FILE_PATTERN = /^(\d{3})-[a-z0-9-]+\.sql$/;

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

interface AppliedMigration {
  readonly number: number;
  readonly name: string;
  readonly sha256: string;
}

/**
 * Brings the tables of one set (a service's name) up to date with a folder of `NNN-name.sql` files: all pending files in one
 * transaction, one process at a time. Applied files are history: a changed, missing, or belatedly inserted one is refused.
 * @throws AppError INTERNAL that names the file and says what to do
 */
export async function migrate(postgres: Postgres, folder: URL | string, set: string, log: Pick<Log, 'info'>): Promise<void> {
  const migrations = await readMigrations(folder);
  const applied = await postgres.transaction((tx) => applyPending(tx, set, migrations), { statementTimeoutMs: MIGRATION_TIMEOUT_MS });
  for (const { name } of applied) log.info('migration applied', { set, file: name });
}

/** The tables of this library: outbox and inbox. */
export function migratePlatform(postgres: Postgres, log: Pick<Log, 'info'>): Promise<void> {
  return migrate(postgres, new URL('../../migrations/', import.meta.url), 'platform', log);
}

async function applyPending(tx: Tx, set: string, migrations: readonly Migration[]): Promise<readonly Migration[]> {
  // The lock also covers CREATE TABLE IF NOT EXISTS, which fails when two sessions run it at once.
  await tx.query('SET LOCAL lock_timeout = 0');
  await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('headrace.migrate', 0))`);
  await tx.query(`CREATE TABLE IF NOT EXISTS platform_migrations (
    set_name text NOT NULL, number integer NOT NULL, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (set_name, number))`);
  const applied = await tx.query<AppliedMigration>(
    'SELECT number, name, sha256 FROM platform_migrations WHERE set_name = $1 ORDER BY number',
    [set],
  );
  const pending = pendingMigrations(set, migrations, applied);
  for (const migration of pending) {
    await runFile(tx, set, migration);
    await tx.execute('INSERT INTO platform_migrations (set_name, number, name, sha256) VALUES ($1, $2, $3, $4)', [
      set,
      migration.number,
      migration.name,
      migration.sha256,
    ]);
  }
  return pending;
}

async function runFile(tx: Tx, set: string, { name, sql }: Migration): Promise<void> {
  try {
    await tx.query(sql);
  } catch (error) {
    throw new AppError('INTERNAL', `migrations of ${set}: ${name} failed and nothing was applied: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Pure: what is to run, or why the folder contradicts the database. */
export function pendingMigrations(set: string, files: readonly Migration[], applied: readonly AppliedMigration[]): readonly Migration[] {
  const byNumber = new Map(files.map((file) => [file.number, file]));
  for (const past of applied) {
    const file = byNumber.get(past.number);
    if (!file) throw refused(set, `${past.name} was applied but its file is missing; restore the file (to undo it, add a new migration)`);
    if (file.sha256 !== past.sha256) {
      const renamed = file.name === past.name ? '' : ` (now named ${file.name})`;
      throw refused(
        set,
        `${past.name}${renamed} was changed after it had been applied; restore its text and put the change into a new migration`,
      );
    }
  }
  const newest = applied.at(-1)?.number ?? 0;
  const done = new Set(applied.map((past) => past.number));
  const pending = files.filter((file) => !done.has(file.number));
  const late = pending.find((file) => file.number < newest);
  if (late) throw refused(set, `${late.name} is not applied but a higher number (${newest}) is; give it the next free number`);
  return pending;
}

async function readMigrations(folder: URL | string): Promise<readonly Migration[]> {
  const path = folder instanceof URL ? fileURLToPath(folder) : folder;
  const names = (await readdir(path)).filter((name) => name.endsWith('.sql')).sort();
  const migrations: Migration[] = [];
  for (const name of names) {
    const match = FILE_PATTERN.exec(name);
    if (!match) throw refused(path, `${name} is not named NNN-what-it-does.sql (three digits, lower case)`);
    const sql = await readFile(`${path}/${name}`, 'utf8');
    const migration = { number: Number(match[1]), name, sql, sha256: createHash('sha256').update(sql).digest('hex') };
    if (migrations.at(-1)?.number === migration.number) throw refused(path, `${migrations.at(-1)!.name} and ${name} have the same number`);
    migrations.push(migration);
  }
  return migrations;
}

const refused = (set: string, reason: string): AppError => new AppError('INTERNAL', `migrations of ${set}: ${reason}`);
