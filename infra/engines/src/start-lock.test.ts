import { mkdtempSync, readdirSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { sleep } from '@headrace/base/clock';
import { lockFile } from './layout.js';
import { withStartLock } from './start-lock.js';

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'engines-lock-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

function leaveLockOfDeadHolder(): void {
  mkdirSync(dirname(lockFile(stateDir)), { recursive: true });
  writeFileSync(lockFile(stateDir), JSON.stringify({ pid: process.pid, identity: 'a process of an earlier boot' }));
}

it('lets one in at a time, also when all find the lock of a dead holder', async () => {
  leaveLockOfDeadHolder();
  let inside = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    most = Math.max(most, ++inside);
    await sleep(10);
    inside--;
  };
  await Promise.all(Array.from({ length: 8 }, () => withStartLock(stateDir, 10_000, work)));
  expect(most).toBe(1);
  expect(readdirSync(dirname(lockFile(stateDir)))).toEqual([]);
});

it('takes over the empty file that a power cut can leave', async () => {
  mkdirSync(dirname(lockFile(stateDir)), { recursive: true });
  writeFileSync(lockFile(stateDir), '');
  expect(await withStartLock(stateDir, 100, () => Promise.resolve('in'))).toBe('in');
});

it('gives the lock back when the work fails', async () => {
  await expect(withStartLock(stateDir, 100, () => Promise.reject(new Error('no luck')))).rejects.toThrow('no luck');
  expect(await withStartLock(stateDir, 100, () => Promise.resolve('in'))).toBe('in');
});

it('waits only as long as it was told, and names the lock', async () => {
  const inner = withStartLock(stateDir, 100, () => withStartLock(stateDir, 100, () => Promise.resolve()));
  await expect(inner).rejects.toThrow(/another start or stop .* still runs after 100 ms; .*start\.lock/);
});
