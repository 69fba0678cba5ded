import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { identityOf, killNow, type PidRecord } from '@headrace/engines/processes';
import { startEngines } from '@headrace/engines/start-engines';
import { cleanEngines } from '@headrace/engines/stop-engines';
import { givenTestUrls, testCacheDir } from './config.js';

/** What a test gets by `inject('engines')`; see engines.ts. */
export interface TestEngineUrls {
  readonly kafkaBrokers: string[];
  readonly postgresUrl: string;
  readonly redisUrl: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    engines: TestEngineUrls;
  }
}

const PREFIX = 'headrace-test-';

/**
 * One set of engines for a whole vitest run, in a new folder and on free ports, so runs side by side never meet. Vitest calls this only
 * when the run holds a file of the project. The function that it returns stops the engines and removes the folder.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  await sweepCrashedRuns();
  const stateDir = mkdtempSync(join(tmpdir(), PREFIX));
  // mkdtemp closes the folder to all others, but as root Postgres runs as another user; the password file inside stays closed.
  chmodSync(stateDir, 0o755);
  writeFileSync(join(stateDir, OWNER), JSON.stringify({ pid: process.pid, identity: identityOf(process.pid) }));
  const engines = await startEngines({
    stateDir,
    cacheDir: testCacheDir(),
    urls: givenTestUrls(),
    durable: false,
    report: showInstallation,
  });
  const { kafkaBrokers, postgresUrl, redisUrl } = engines;
  project.provide('engines', { kafkaBrokers, postgresUrl, redisUrl });
  const forgetSignals = stopOnSuddenEnd(engines.processes, stateDir);
  return async () => {
    await engines.stop();
    await remove(stateDir);
    forgetSignals();
  };
}

/** Vitest runs no teardown when it is told to end by SIGTERM or SIGHUP. The data are worth nothing: kill the engines, remove all. */
function stopOnSuddenEnd(processes: readonly PidRecord[], stateDir: string): () => void {
  const kill = (): void => {
    processes.forEach(killNow);
    rmSync(stateDir, { recursive: true, force: true, maxRetries: 5 });
  };
  const end = (): never => process.exit(1);
  process.once('exit', kill).once('SIGTERM', end).once('SIGHUP', end);
  return () => void process.off('exit', kill).off('SIGTERM', end).off('SIGHUP', end);
}

const OWNER = 'owner.json';

/** A run that was killed could not stop its engines; the next run does. */
async function sweepCrashedRuns(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const folder = join(tmpdir(), name);
    const owner = readOwner(join(folder, OWNER));
    if (owner !== undefined && identityOf(owner.pid) !== owner.identity) await remove(folder);
  }
}

function readOwner(file: string): { pid: number; identity: string } | undefined {
  if (!existsSync(file)) return undefined;
  return JSON.parse(readFileSync(file, 'utf8')) as { pid: number; identity: string };
}

async function remove(stateDir: string): Promise<void> {
  await cleanEngines(stateDir);
  rmSync(stateDir, { recursive: true, force: true });
}

/** Only what takes long is worth a line in a test run. */
function showInstallation({ engine, phase, text }: { engine: string; phase: string; text: string }): void {
  if (phase === 'installing') console.info(`engines: ${engine}: ${text}`);
}
