import { AppError } from '@headrace/base/errors';
import { identityOf, type ProcessRecord } from '@headrace/engines/processes';
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';

export interface Launch {
  readonly name: string;
  readonly entry: string;
  readonly nodeOptions: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
  readonly readyTimeoutMs: number;
}

/** A started process, as the runtime file keeps it. */
export interface ServiceRecord extends ProcessRecord {
  readonly logFile: string;
}

export interface ServiceProcess extends ServiceRecord {
  /** Milliseconds from spawn to its ready line. */
  readonly readyMs: number;
  onExit(listener: (code: number | null) => void): void;
}

/**
 * Starts one service in a process group of its own (so that Ctrl-C reaches only us and we stop it in order) and waits for the
 * JSON line by which it says that it is ready. Its log goes to a file.
 */
export async function launch(options: Launch): Promise<ServiceProcess> {
  const begin = performance.now();
  mkdirSync(dirname(options.logFile), { recursive: true });
  const log = openSync(options.logFile, 'a');
  const child = spawn(process.execPath, ['--enable-source-maps', ...options.nodeOptions, options.entry], {
    env: options.env,
    stdio: ['ignore', 'pipe', log],
    detached: true,
  });
  closeSync(log);
  try {
    await ready(child, options);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  const pid = child.pid!;
  // The ready line was all: neither the pipe nor the child may keep us from ending.
  child.stdout!.resume();
  (child.stdout as unknown as { unref(): void }).unref();
  child.unref();
  return {
    name: options.name,
    pid,
    identity: identityOf(pid) ?? 'ended at once',
    command: `${process.execPath} ${options.entry}`,
    logFile: options.logFile,
    readyMs: performance.now() - begin,
    onExit: (listener) => void child.once('exit', listener),
  };
}

function ready(child: ChildProcess, { name, logFile, readyTimeoutMs }: Launch): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (what: string): void =>
      reject(new AppError('DEPENDENCY_UNAVAILABLE', `${name} ${what}; its log (${logFile}) ends with:\n${lastLines(logFile)}`));
    const timer = setTimeout(() => fail(`was not ready within ${readyTimeoutMs} ms`), readyTimeoutMs);
    child.once('error', (error) => fail(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      fail(`ended with ${signal ?? `code ${code}`} before it was ready`);
    });
    createInterface({ input: child.stdout! }).on('line', (line) => {
      if (!line.includes('"ready"')) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-8).join('\n');
}
