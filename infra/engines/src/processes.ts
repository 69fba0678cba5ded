import { execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { sleep } from '@headrace/base/clock';
import { AppError } from '@headrace/base/errors';
import { childEnvironment } from './config.js';
import type { EngineName } from './engine.js';
import type { ClassArchive } from './kafka/class-archive.js';

/**
 * Pids are reused, so a pid alone proves nothing. `identity` names one process for ever: on Linux the boot id and the start
 * time in clock ticks since boot (proc(5), /proc/PID/stat field 22), elsewhere the start time and command line that `ps` shows.
 */
export interface ProcessRecord {
  readonly name: string;
  readonly pid: number;
  readonly identity: string;
  readonly command: string;
}

/** An engine's process, as its pid file keeps it. */
export interface PidRecord extends ProcessRecord {
  readonly engine: EngineName;
  /** The TCP port that its clients use. */
  readonly port: number;
  /** false: started for tests, forgetful. */
  readonly durable: boolean;
  /** Kafka only: see kafka/class-archive.ts. */
  readonly classArchive?: ClassArchive;
  readonly identity: string;
  readonly command: string;
  /** Length of the log when it started, in bytes: what follows is its own. */
  readonly logFrom: number;
  readonly startedAt: string;
}

export interface SpawnOptions {
  readonly port: number;
  readonly durable: boolean;
  readonly classArchive?: ClassArchive;
  readonly cwd: string;
  readonly logFile: string;
  readonly pidFile: string;
  readonly as?: { readonly uid: number; readonly gid: number };
  readonly argv0?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Starts a server that outlives us (own session, output to a file) and leaves a pid file at once, so that whatever happens to us
 * a later `stopEngines` finds it.
 */
export async function spawnServer(engine: EngineName, program: string, args: readonly string[], options: SpawnOptions): Promise<PidRecord> {
  mkdirSync(dirname(options.logFile), { recursive: true });
  keepLogShort(options.logFile);
  const log = openSync(options.logFile, 'a');
  const logFrom = fstatSync(log).size;
  const child = spawn(program, args, {
    detached: true,
    cwd: options.cwd,
    stdio: ['ignore', log, log],
    env: childEnvironment(options.env),
    ...(options.as === undefined ? {} : { uid: options.as.uid, gid: options.as.gid }),
    ...(options.argv0 === undefined ? {} : { argv0: options.argv0 }),
  });
  closeSync(log);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(new AppError('INTERNAL', `${engine}: ${program} could not be started: ${cause.message}`, { cause })),
    );
  });
  child.unref();
  const pid = child.pid!;
  const record: PidRecord = {
    engine,
    name: engine,
    pid,
    port: options.port,
    durable: options.durable,
    ...(options.classArchive === undefined ? {} : { classArchive: options.classArchive }),
    identity: identityOf(pid) ?? 'ended at once',
    command: [program, ...args].join(' '),
    logFrom,
    startedAt: new Date().toISOString(),
  };
  writeFileSync(options.pidFile, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  return record;
}

const LOG_LIMIT_BYTES = 10_000_000;

/** Logs grow over the runs: at a start, one that became too long makes place and replaces the one before it. */
function keepLogShort(file: string): void {
  if (existsSync(file) && statSync(file).size > LOG_LIMIT_BYTES) renameSync(file, `${file}.before`);
}

/** The record of a pid file, or undefined when there is none or it is not readable as one (a crash can leave half a file). */
export function readPidRecord(file: string): PidRecord | undefined {
  try {
    const parsed = JSON.parse(readFileSync(file, 'utf8')) as Partial<PidRecord>;
    if (
      !Number.isInteger(parsed.pid) ||
      (parsed.pid as number) <= 1 ||
      !Number.isInteger(parsed.port) ||
      typeof parsed.identity !== 'string'
    )
      return undefined;
    return parsed as PidRecord;
  } catch {
    return undefined;
  }
}

/** True while exactly the recorded process lives; a stranger that got its pid later is not it. */
export function isRunning(record: Pick<ProcessRecord, 'pid' | 'identity'>): boolean {
  return identityOf(record.pid) === record.identity;
}

export interface StopOutcome {
  readonly how: 'was not running' | 'stopped' | 'killed';
  readonly tookMs: number;
}

export interface StopStep {
  readonly signal: NodeJS.Signals;
  readonly waitMs: number;
}

/** The steps in order, each with its bounded wait, then SIGKILL; never a signal to a process that is not the recorded one. */
export async function stopProcess(record: ProcessRecord, steps: readonly StopStep[]): Promise<StopOutcome> {
  const begin = Date.now();
  if (!isRunning(record)) return { how: 'was not running', tookMs: 0 };
  for (const { signal, waitMs } of steps) {
    signalPid(record.pid, signal);
    if (await endsWithin(record, waitMs)) return { how: 'stopped', tookMs: Date.now() - begin };
  }
  signalPid(record.pid, 'SIGKILL');
  if (await endsWithin(record, KILL_WAIT_MS)) return { how: 'killed', tookMs: Date.now() - begin };
  throw new AppError(
    'INTERNAL',
    `${record.name}: process ${record.pid} does not end, not even by SIGKILL; look at it by hand (${record.command.slice(0, 200)})`,
  );
}

/** For the moment when this process must end at once: no grace, no wait. */
export function killNow(record: PidRecord): void {
  if (isRunning(record)) signalPid(record.pid, 'SIGKILL');
}

export function removePidFile(file: string): void {
  rmSync(file, { force: true });
}

const KILL_WAIT_MS = 5_000;
const POLL_MS = 20;

async function endsWithin(record: ProcessRecord, waitMs: number): Promise<boolean> {
  const until = Date.now() + waitMs;
  do {
    if (!isRunning(record)) return true;
    await sleep(POLL_MS);
  } while (Date.now() < until);
  return !isRunning(record);
}

function signalPid(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (thrown) {
    // Ended between our look and the signal: what we wanted.
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown;
  }
}

/** Names the process that has this pid now; undefined when there is none. A zombie (dead, not yet reaped) counts as none. */
export function identityOf(pid: number): string | undefined {
  return process.platform === 'linux' ? linuxIdentity(pid) : psIdentity(pid);
}

function linuxIdentity(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The program's name (field 2) is in brackets and may hold spaces and brackets: count from its last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields[0], fields[19]];
  if (state === 'Z' || state === 'X') return undefined;
  return `${bootId()}/${startTicks}`;
}

let knownBootId: string | undefined;
function bootId(): string {
  knownBootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return knownBootId;
}

function psIdentity(pid: number): string | undefined {
  try {
    const stdout = execFileSync('ps', ['-o', 'stat=,lstart=,command=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const [, state, rest] = /^\s*(\S+)\s+(.*)$/s.exec(stdout) ?? [];
    return !state || state.startsWith('Z') ? undefined : rest?.trim();
  } catch {
    return undefined; // ps fails when there is no such process
  }
}
