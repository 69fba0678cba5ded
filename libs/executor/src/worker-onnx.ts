import { AppError } from '@headrace/base/errors';
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Tensor } from 'onnxruntime-node';
import type { OnnxSession, OnnxTensorInfo, ScoreRuntime } from './onnx-runtime.js';
import type { TreeRuntime } from './open-session.js';
import { fromSent, toSent, type FromWorker, type ToWorker } from './worker-messages.js';

/** A worker that opens its model takes no longer; a real model of 100 MB opens in a few seconds. */
const OPEN_TIMEOUT_MS = 60_000;
/** Runs that were in a worker when it died are tried in the next one, once. */
const TRIES = 2;
/** Runs of a worker that is retired have this long to end. */
const RETIRE_MS = 10_000;
/** Between a worker that died and the next one: doubled for each that dies without having answered. */
const RESTART = { firstMs: 50, longestMs: 5_000, inARowMax: 4 };

/** Told of every run: its rows (the first size of its first input), and what it took there, ms, without the way there and back. */
export type RunObserver = (rows: number, ms: number) => void;

interface Run {
  readonly message: ToWorker;
  tries: number;
  readonly resolve: (outputs: Record<string, Tensor>) => void;
  readonly reject: (error: Error) => void;
}

/** The file of an artefact and its hash. */
export interface ArtifactFile {
  readonly path: string;
  readonly sha256: string;
}

/**
 * The same session in a process of its own, by `fork`: the caller's event loop goes on while it runs, and a model that crashes takes nobody with
 * it. Threads would not isolate: to end a busy one aborts the whole process (measured, ONNX Runtime 1.30.0).
 * @throws Error what ONNX Runtime says of the file.
 */
export async function openOnnxInWorker(
  file: ArtifactFile,
  ran: RunObserver = ignore,
  trees: TreeRuntime = 'walk',
): Promise<OnnxSession & { readonly pid: () => number }> {
  const worker = new WorkerOnnx(file, ran, trees);
  const { inputs, outputs, runtime } = await worker.open();
  return {
    kind: 'public',
    runtime,
    inputs,
    outputs,
    run: async (feeds, output) => (await worker.run(feeds, [output]))[output]!,
    runAll: (feeds, outputs) => worker.run(feeds, outputs),
    release: () => worker.release(),
    retire: () => worker.retire(),
    pid: () => worker.pid,
  };
}

interface Opened {
  readonly inputs: readonly OnnxTensorInfo[];
  readonly outputs: readonly OnnxTensorInfo[];
  readonly runtime: ScoreRuntime;
}

class WorkerOnnx {
  #child: ChildProcess | undefined;
  #isOpen = false;
  #isReleased = false;
  #retireTimer: NodeJS.Timeout | undefined;
  #deaths = 0;
  #lastId = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Sent or waiting for a worker, in order. */
  readonly #runs = new Map<number, Run>();

  constructor(
    private readonly file: ArtifactFile,
    private readonly ran: RunObserver,
    private readonly trees: TreeRuntime,
  ) {}

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  open(): Promise<Opened> {
    return new Promise((resolve, reject) => {
      // Tests run the source, and Node cannot; the build stands beside it.
      const script = import.meta.url.endsWith('.ts') ? '../dist/onnx-worker.js' : './onnx-worker.js';
      const child = fork(fileURLToPath(new URL(script, import.meta.url)), [this.file.path, this.file.sha256, this.trees], {
        serialization: 'advanced',
        env: {},
        execArgv: [],
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      this.#child = child;
      const timer = setTimeout(() => child.kill('SIGKILL'), OPEN_TIMEOUT_MS);
      const fail = (error: Error): void => {
        clearTimeout(timer);
        reject(error);
      };
      child.once('error', fail);
      child.on('message', (message: FromWorker) => {
        if (message.kind === 'opened') {
          clearTimeout(timer);
          this.#isOpen = true;
          resolve(message);
        } else if (message.kind === 'refused') fail(new Error(message.error));
        else this.#answered(message);
      });
      child.once('exit', (code, signal) => {
        fail(new Error(`the worker process ended with ${signal ?? `code ${code}`} before it had opened the model`));
        if (this.#child === child) this.#died(signal ?? `code ${code}`);
      });
    });
  }

  run(feeds: Record<string, Tensor>, outputs: readonly string[]): Promise<Record<string, Tensor>> {
    if (this.#isReleased) return Promise.reject(unavailable('the version is unloaded'));
    return new Promise((resolve, reject) => {
      const run: Run = { message: { id: ++this.#lastId, feeds: toSent(feeds), outputs }, tries: 0, resolve, reject };
      this.#runs.set(run.message.id, run);
      if (this.#isOpen) this.#send(run);
      else if (this.#timer === undefined && this.#child === undefined) this.#restart(0);
    });
  }

  release(): void {
    this.#isReleased = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#retireTimer);
    this.#failAll('the version is unloaded');
    this.#child?.kill('SIGKILL');
  }

  retire(): void {
    this.#retireTimer = setTimeout(() => this.release(), RETIRE_MS);
    this.#endIfRetired();
  }

  #endIfRetired(): void {
    if (this.#retireTimer && this.#runs.size === 0) this.release();
  }

  #send(run: Run): void {
    run.tries++;
    // What cannot be sent any more comes back with the worker's end.
    this.#child!.send(run.message, () => undefined);
  }

  #answered(message: Extract<FromWorker, { kind: 'ran' | 'failed' }>): void {
    const run = this.#runs.get(message.id);
    this.#runs.delete(message.id);
    this.#deaths = 0;
    if (message.kind === 'failed') run?.reject(new Error(message.error));
    else if (run) {
      this.ran(run.message.feeds[0]?.[2][0] ?? 1, message.ms);
      run.resolve(fromSent(message.outputs));
    }
    this.#endIfRetired();
  }

  #died(how: string): void {
    this.#isOpen = false;
    this.#child = undefined;
    if (this.#isReleased) return;
    this.#deaths++;
    for (const [id, run] of this.#runs) {
      if (run.tries < TRIES) continue;
      this.#runs.delete(id);
      run.reject(unavailable(`the worker process of the model died twice at this run (${how})`));
    }
    this.#endIfRetired();
    if (this.#isReleased) return;
    if (this.#deaths <= RESTART.inARowMax) return this.#restart(Math.min(RESTART.firstMs * 2 ** (this.#deaths - 1), RESTART.longestMs));
    // Nobody waits for ever; the next request begins anew.
    this.#failAll(`the worker process of the model died ${this.#deaths} times in a row (${how})`);
    this.#deaths = 0;
  }

  #restart(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.open().then(
        () => {
          for (const run of this.#runs.values()) this.#send(run);
        },
        // Its exit is what counts; `#died` has seen it.
        () => undefined,
      );
    }, delayMs);
  }

  #failAll(why: string): void {
    for (const run of this.#runs.values()) run.reject(unavailable(why));
    this.#runs.clear();
  }
}

function ignore(): void {
  return undefined;
}

function unavailable(why: string): AppError {
  return new AppError('DEPENDENCY_UNAVAILABLE', `${why}; try again`, { details: { dependency: 'model worker' } });
}
