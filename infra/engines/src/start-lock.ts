import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { sleep } from '@headrace/base/clock';
import { AppError } from '@headrace/base/errors';
import { lockFile } from './layout.js';
import { identityOf } from './processes.js';

const POLL_MS = 50;

/**
 * One start or stop at a time for each state folder; the others wait up to `waitMs`. The lock names its holder, so the lock of a
 * holder that crashed is taken over.
 */
export async function withStartLock<T>(stateDir: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  const file = lockFile(stateDir);
  mkdirSync(dirname(file), { recursive: true });
  const mine = JSON.stringify({ pid: process.pid, identity: await identityOf(process.pid) });
  const until = Date.now() + waitMs;
  while (!tryTake(file, mine)) {
    if (await isStale(file)) rmSync(file, { force: true });
    else if (Date.now() > until) throw new AppError('DEPENDENCY_UNAVAILABLE', `another start or stop of the engines in ${stateDir} still runs after ${waitMs} ms; wait for it, or remove ${file}`);
    else await sleep(POLL_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** A hard link appears whole or not at all, so nobody ever reads half a lock. */
function tryTake(file: string, content: string): boolean {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, content);
  try {
    linkSync(draft, file);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  } finally {
    rmSync(draft, { force: true });
  }
}

async function isStale(file: string): Promise<boolean> {
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as { pid: number; identity: string };
    return (await identityOf(holder.pid)) !== holder.identity;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}
