import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { identityOf, isRunning, readPidRecord, spawnServer, stopProcess, type PidRecord } from './processes.js';

let folder: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'engines-processes-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** A process that says "up" when it runs. */
async function startNode(script: string): Promise<PidRecord> {
  const child = spawn(process.execPath, ['-e', `${script}; console.log('up'); setInterval(() => {}, 1000)`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout!, 'data');
  return {
    engine: 'redis',
    name: 'redis',
    pid: child.pid!,
    port: 1,
    durable: false,
    identity: identityOf(child.pid!)!,
    command: 'node',
    logFrom: 0,
    startedAt: '',
  };
}

it('stops a process that heeds SIGTERM without killing it', async () => {
  const record = await startNode('');
  expect(isRunning(record)).toBe(true);
  expect(await stopProcess(record, [{ signal: 'SIGTERM', waitMs: 5_000 }])).toMatchObject({ how: 'stopped' });
  expect(isRunning(record)).toBe(false);
});

it('kills a process that does not heed its signals within their bounds', async () => {
  const record = await startNode(`process.on('SIGTERM', () => {}); process.on('SIGINT', () => {})`);
  const outcome = await stopProcess(record, [
    { signal: 'SIGINT', waitMs: 100 },
    { signal: 'SIGTERM', waitMs: 100 },
  ]);
  expect(outcome.how).toBe('killed');
  expect(isRunning(record)).toBe(false);
});

it('never signals a stranger that got the pid later', async () => {
  const stranger = await startNode('');
  const stale = { ...stranger, identity: `${stranger.identity}0` };
  expect(isRunning(stale)).toBe(false);
  expect(await stopProcess(stale, [{ signal: 'SIGTERM', waitMs: 1_000 }])).toEqual({ how: 'was not running', tookMs: 0 });
  expect(isRunning(stranger)).toBe(true);
});

it.runIf(process.platform === 'linux')('counts a dead process that nobody reaped yet as ended', async () => {
  // `sleep 0` ends and its parent, which became another `sleep`, never asks for it.
  const parent = spawn('/bin/sh', ['-c', 'sleep 0 & echo $!; exec sleep 30'], { stdio: ['ignore', 'pipe', 'ignore'] });
  children.push(parent);
  const [line] = (await once(parent.stdout!, 'data')) as [Buffer];
  const zombie = Number(line.toString());
  await expect.poll(() => readFileSync(`/proc/${zombie}/stat`, 'utf8')).toContain(') Z');
  expect(identityOf(zombie)).toBeUndefined();
});

it('leaves a pid file that names the living process, only for its owner', async () => {
  const pidFile = join(folder, 'pid.json');
  const logFile = join(folder, 'log', 'server.log');
  const made = await spawnServer('redis', process.execPath, ['-e', 'console.log("hello"); setInterval(() => {}, 1000)'], {
    port: 7,
    durable: true,
    cwd: folder,
    logFile,
    pidFile,
  });
  expect(readPidRecord(pidFile)).toEqual(made);
  expect(isRunning(made)).toBe(true);
  await expect.poll(() => readFileSync(logFile, 'utf8')).toBe('hello\n');
  expect(await stopProcess(made, [{ signal: 'SIGTERM', waitMs: 5_000 }])).toMatchObject({ how: 'stopped' });
});

it('says which program could not be started', async () => {
  const options = { port: 7, durable: true, cwd: folder, logFile: join(folder, 'log'), pidFile: join(folder, 'pid.json') };
  await expect(spawnServer('redis', join(folder, 'nothing-here'), [], options)).rejects.toThrow(
    /redis: .*nothing-here could not be started/,
  );
  expect(readPidRecord(options.pidFile)).toBeUndefined();
});

it('takes a half-written pid file, or one with an impossible pid, for none', () => {
  const file = join(folder, 'pid.json');
  for (const content of [
    '',
    '{"engine":"redis","pid":12',
    'null',
    '{}',
    '{"pid":1,"port":5,"identity":"x"}',
    '{"pid":-5,"port":5,"identity":"x"}',
  ]) {
    writeFileSync(file, content);
    expect(readPidRecord(file)).toBeUndefined();
  }
  expect(readPidRecord(join(folder, 'no such file'))).toBeUndefined();
});
