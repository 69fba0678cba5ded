import { AppError } from '@headrace/base/errors';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { readProgress, stepText, type ProgressLine } from '../domain/runtime-progress.js';
import { killGroup } from './process-group.js';
import type { PythonRuntime } from './python-runtime.js';

export interface TrainingProcessOptions {
  readonly runtime: PythonRuntime;
  readonly workDir: string;
  readonly specPath: string;
  readonly outDir: string;
  /** Allow-listed; nothing else of ours is seen by the child. */
  readonly environment: Readonly<Record<string, string>>;
  readonly cpus: number;
  readonly onPid: (pid: number) => Promise<void>;
  readonly onStep: (step: string) => void;
  readonly signal: AbortSignal;
}

/** Bounds for what a child may say. */
const LOG_BYTES_MAX = 10 * 1024 * 1024;
const LINE_LENGTH_MAX = 64 * 1024;
const TAIL_LENGTH = 2_000;

/**
 * Runs the training runtime to its end, as the leader of a process group of its own: no shell, an argv array, a work folder. Abort
 * ends the whole group and throws the signal's reason. @throws AppError DEFINITION_INVALID | PARITY_FAILED | TRAINING_FAILED
 */
export async function runTraining(options: TrainingProcessOptions): Promise<void> {
  const { runtime, workDir, specPath, outDir, signal } = options;
  signal.throwIfAborted();
  const child = spawn(runtime.python, ['-m', 'headrace_trainer', 'train', '--spec', specPath, '--out', outDir], {
    cwd: workDir,
    env: childEnvironment(options),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<{ code: number | null; killedBy: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, killedBy) => resolve({ code, killedBy }));
  });
  ended.catch(() => undefined); // awaited below, after the pid is noted
  let killing: Promise<void> | undefined;
  const onAbort = (): void => void (killing = child.pid === undefined ? undefined : killGroup(child.pid));
  signal.addEventListener('abort', onAbort, { once: true });
  const last: { error?: ProgressLine & { event: 'error' }; tail: string } = { tail: '' };
  followProgress(child.stdout, (line) => {
    if (line.event === 'error') last.error = line;
    const step = stepText(line);
    if (step) options.onStep(step);
  });
  keepLog(child, join(workDir, 'train.log'), (tail) => (last.tail = tail));
  try {
    if (child.pid !== undefined) await options.onPid(child.pid);
    const { code, killedBy } = await ended;
    signal.throwIfAborted();
    if (code !== 0) throw failure(code, killedBy, last);
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Also after a clean exit: whatever the child started in its group must not outlive it.
    if (child.pid !== undefined) await (killing ?? killGroup(child.pid));
  }
}

function childEnvironment({ runtime, workDir, environment, cpus }: TrainingProcessOptions): Record<string, string> {
  return {
    ...environment,
    PYTHONPATH: runtime.sourceDir,
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONUNBUFFERED: '1',
    PYTHONNOUSERSITE: '1',
    PYTHONHASHSEED: '0',
    HOME: workDir,
    TMPDIR: join(workDir, 'tmp'),
    OMP_NUM_THREADS: String(cpus),
    // Threads that wait give their core away instead of spinning: 2.5 -> 1.7 CPU seconds for a small run on a busy machine.
    OMP_WAIT_POLICY: 'PASSIVE',
  };
}

function followProgress(stdout: Readable, onLine: (line: ProgressLine) => void): void {
  createInterface({ input: stdout }).on('line', (text) => {
    const line = text.length > LINE_LENGTH_MAX ? undefined : readProgress(text);
    if (line) onLine(line);
  });
}

function keepLog(child: ChildProcess, path: string, onTail: (tail: string) => void): void {
  const file = createWriteStream(path);
  file.on('error', () => undefined); // a full disk fails the run elsewhere; the log is not worth it
  let tail = '';
  let bytes = 0;
  child.stderr!.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= LOG_BYTES_MAX) file.write(chunk);
    tail = (tail + chunk.toString()).slice(-TAIL_LENGTH);
    onTail(tail);
  });
  void once(child, 'close').then(
    () => file.end(),
    () => file.end(),
  );
}

function failure(
  code: number | null,
  killedBy: NodeJS.Signals | null,
  last: { error?: ProgressLine & { event: 'error' }; tail: string },
): AppError {
  if (killedBy)
    return new AppError(
      'TRAINING_FAILED',
      `the training process was ended by ${killedBy} from outside${killedBy === 'SIGKILL' ? ', most likely for want of memory' : ''}`,
    );
  if (!last.error)
    return new AppError(
      'TRAINING_FAILED',
      `the training process ended with code ${code} and said nothing; its log ends: ${last.tail.trim() || '(empty)'}`,
    );
  const { code: reason, message } = last.error;
  if (reason === 'SPEC_INVALID')
    return new AppError('DEFINITION_INVALID', `the training runtime refuses what the definition asks for: ${message}`);
  if (reason === 'PARITY_FAILED') return new AppError('PARITY_FAILED', message);
  return new AppError('TRAINING_FAILED', `${reason}: ${message}`);
}
