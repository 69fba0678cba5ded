import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { sleep } from '@headrace/base/clock';
import { AppError } from '@headrace/base/errors';
import { runCommand } from '../command.js';
import type { Say } from '../engine.js';
import { engineDir, logFile, pidFile } from '../layout.js';
import { identityOf, readPidRecord, spawnServer, type PidRecord } from '../processes.js';
import { ServerEnded, waitUntilReady } from '../wait-ready.js';
import type { PostgresPlace } from './place-postgres.js';
import { probePostgres } from './probe-postgres.js';

const READY_BOUND_MS = 60_000;
const INITDB_BOUND_MS = 120_000;
const ROLE = 'headrace';
const DATABASE = 'headrace';

/** Makes the cluster when there is none, starts it and makes sure that our database exists. */
export async function startPostgres(stateDir: string, place: PostgresPlace, port: number, durable: boolean, say: Say): Promise<PidRecord> {
  const password = passwordOf(stateDir);
  if (!existsSync(place.dataDir)) await initialise(place, password, durable, say);
  const maintenanceUrl = urlOf(password, port, 'postgres');
  const server = await startServer(stateDir, place, port, durable, maintenanceUrl);
  await ensureDatabase(maintenanceUrl);
  return server;
}

/** Carries the password: treat it as a secret. */
export function postgresUrl(stateDir: string, port: number): string {
  return urlOf(passwordOf(stateDir), port, DATABASE);
}

/** `-c` settings, in one place: loopback TCP only, UTC, sized for a laptop that also runs five services. */
export function postgresSettings(port: number, durable: boolean): Readonly<Record<string, string>> {
  return {
    listen_addresses: '127.0.0.1',
    port: String(port),
    // No socket files: their folder would need rights of its own.
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: durable ? '128MB' : '32MB',
    fsync: durable ? 'on' : 'off',
    synchronous_commit: durable ? 'on' : 'off',
    full_page_writes: durable ? 'on' : 'off',
    // Compiling a plan costs more than our short queries take.
    jit: 'off',
    random_page_cost: '1.1',
    timezone: 'UTC',
    log_timezone: 'UTC',
    password_encryption: 'scram-sha-256',
  };
}

function urlOf(password: string, port: number, database: string): string {
  return `postgres://${ROLE}:${password}@127.0.0.1:${port}/${database}`;
}

/** Made once, kept in the state folder for its owner only. */
function passwordOf(stateDir: string): string {
  const file = join(engineDir(stateDir, 'postgres'), 'password');
  if (!existsSync(file)) {
    mkdirSync(engineDir(stateDir, 'postgres'), { recursive: true });
    writeFileSync(file, randomBytes(24).toString('base64url'), { mode: 0o600 });
  }
  return readFileSync(file, 'utf8').trim();
}

/** The folder gets its name when initdb is done, so an initdb that was killed leaves nothing that looks like a cluster. */
async function initialise(place: PostgresPlace, password: string, durable: boolean, say: Say): Promise<void> {
  say('starting', `initdb as ${place.as?.name ?? 'this user'}`);
  const fresh = `${place.dataDir}.new`;
  const passwordFile = `${fresh}.password`;
  rmSync(fresh, { recursive: true, force: true });
  rmSync(passwordFile, { force: true });
  mkdirSync(fresh, { mode: 0o700 });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (place.as !== undefined) for (const path of [fresh, passwordFile]) chownSync(path, place.as.uid, place.as.gid);
  const args = [
    '-D',
    fresh,
    '-U',
    ROLE,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    ...(durable ? [] : ['--no-sync']),
  ];
  const result = await runCommand(join(place.binDir, 'initdb'), args, {
    cwd: fresh,
    timeoutMs: INITDB_BOUND_MS,
    ...(place.as === undefined ? {} : { as: place.as }),
  });
  rmSync(passwordFile, { force: true });
  if (!result.ok) throw new AppError('DEPENDENCY_UNAVAILABLE', `postgres: initdb failed:\n${result.tail}`);
  renameSync(fresh, place.dataDir);
}

/** After a kill -9 the old server's children need a moment to notice; until then the new one refuses to start. */
const OLD_CHILDREN = /pre-existing shared memory block|lock file "postmaster.pid" already exists/;
const START_TRIES = 20;

async function startServer(stateDir: string, place: PostgresPlace, port: number, durable: boolean, probeUrl: string): Promise<PidRecord> {
  const log = logFile(stateDir, 'postgres');
  const settings = Object.entries(postgresSettings(port, durable)).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
  removeForeignLock(stateDir, place.dataDir);
  for (let attempt = 1; ; attempt++) {
    const server = await spawnServer('postgres', join(place.binDir, 'postgres'), ['-D', place.dataDir, ...settings], {
      port,
      durable,
      cwd: place.dataDir,
      logFile: log,
      pidFile: pidFile(stateDir, 'postgres'),
      ...(place.as === undefined ? {} : { as: place.as }),
    });
    try {
      await waitUntilReady(server, () => probePostgres(probeUrl), READY_BOUND_MS, log);
      return server;
    } catch (thrown) {
      if (!(thrown instanceof ServerEnded) || !OLD_CHILDREN.test(thrown.log) || attempt === START_TRIES) throw thrown;
      await sleep(250);
    }
  }
}

/**
 * Postgres believes that it already runs when the pid in its postmaster.pid lives, whoever that is now: after a crash and a restart of
 * the machine or container (small pids come again) it would refuse for ever. Our own record knows better.
 */
function removeForeignLock(stateDir: string, data: string): void {
  const lock = join(data, 'postmaster.pid');
  const record = readPidRecord(pidFile(stateDir, 'postgres'));
  if (record === undefined || !existsSync(lock)) return;
  const pid = Number(readFileSync(lock, 'utf8').split('\n')[0]);
  const now = identityOf(pid);
  if (pid === record.pid && now !== undefined && now !== record.identity) rmSync(lock);
}

async function ensureDatabase(maintenanceUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: maintenanceUrl });
  await client.connect();
  try {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}
