import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
  const mine = JSON.stringify({ pid: process.pid, identity: identityOf(process.pid) });
  const until = Date.now() + waitMs;
  while (!tryTake(file, mine)) {
    if (removeStale(file)) continue;
    if (Date.now() > until)
      throw new AppError(
        'DEPENDENCY_UNAVAILABLE',
        `another start or stop of the engines in ${stateDir} still runs after ${waitMs} ms; wait for it, or remove ${file}`,
      );
    await sleep(POLL_MS);
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

/**
 * True when the holder is dead and its lock is gone. Two waiters may come to this at once, and the second must not take the new lock of the
 * first away: the file is moved aside first, and goes back when it is not the one that was read.
 */
function removeStale(file: string): boolean {
  const seen = readIfThere(file);
  if (seen === undefined) return true;
  if (isHeld(seen)) return false;
  const aside = `${file}.stale-${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw thrown;
  }
  if (readIfThere(aside) !== seen) linkSync(aside, file);
  rmSync(aside, { force: true });
  return true;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw thrown;
  }
}

/** What is not a lock of ours (a power cut can leave an empty file) is held by nobody. */
function isHeld(content: string): boolean {
  const holder = parseHolder(content);
  return holder !== undefined && identityOf(holder.pid) === holder.identity;
}

function parseHolder(content: string): { pid: number; identity: string } | undefined {
  try {
    return JSON.parse(content) as { pid: number; identity: string };
  } catch {
    return undefined;
  }
}
