import { AppError } from '@headrace/base/errors';
import { fork, type ChildProcess } from 'node:child_process';
import type { Answer, FromChild, ToChild } from './messages.js';

export interface Doors {
  readonly http: string;
  /** `host:port` */
  readonly grpc: string;
}

export interface MemberOptions {
  readonly entry: string;
  readonly slot: number;
  /** Of this slot, counted from 1. */
  readonly generation: number;
  readonly env: NodeJS.ProcessEnv;
  readonly nodeOptions: readonly string[];
  readonly readyTimeoutMs: number;
  readonly onAsk: (from: Member, ask: Extract<FromChild, { kind: 'ask' }>) => void;
}

/** One process of a group: started by `fork`, ready when it says so, gone when it has exited. */
export class Member {
  readonly slot: number;
  readonly generation: number;
  /** Rejects when the process ends or the time is over before it is ready. */
  readonly ready: Promise<Doors>;
  /** Resolves with why it ended. */
  readonly gone: Promise<string>;
  isReady = false;
  /** ms since the epoch; 0 until it is ready. */
  readyAtMs = 0;
  exitCode: number | null = null;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();

  constructor({ entry, slot, generation, env, nodeOptions, readyTimeoutMs, onAsk }: MemberOptions) {
    this.slot = slot;
    this.generation = generation;
    // Its log goes where ours goes; its ready line is ours to say.
    const execArgv = ['--enable-source-maps', ...nodeOptions];
    const child = (this.#child = fork(entry, { env, stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv }));
    this.gone = new Promise((resolve) => {
      child.once('error', (error) => resolve(`it could not be started: ${error.message}`));
      child.once('exit', (code, signal) => {
        this.exitCode = code;
        resolve(`it ended with ${signal ?? `code ${code}`}`);
      });
    });
    void this.gone.then((why) => {
      this.isReady = false;
      for (const done of this.#waiting.values()) done({ ok: false, error: why });
      this.#waiting.clear();
    });
    this.ready = new Promise((resolve, reject) => {
      const fail = (why: string): void =>
        reject(new AppError('DEPENDENCY_UNAVAILABLE', `process ${slot} (pid ${child.pid ?? 'none'}) was not ready: ${why}`));
      const timer = setTimeout(() => fail(`${readyTimeoutMs} ms are over`), readyTimeoutMs);
      void this.gone.then((why) => {
        clearTimeout(timer);
        fail(why);
      });
      child.on('message', (message: FromChild) => {
        if (message.kind === 'ready') {
          clearTimeout(timer);
          this.isReady = true;
          this.readyAtMs = Date.now();
          resolve({ http: message.http, grpc: message.grpc });
        } else if (message.kind === 'ask') onAsk(this, message);
        else this.#waiting.get(message.id)?.(message.answer);
      });
    });
    // Who waits for `ready` hears of a failure; nobody else has to.
    this.ready.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  tell(message: ToChild): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  ask(id: number, topic: string, body: unknown, timeoutMs: number): Promise<Answer> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => done({ ok: false, error: `process ${this.slot} does not answer` }), timeoutMs);
      const done = (answer: Answer): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(answer);
      };
      this.#waiting.set(id, done);
      this.tell({ kind: 'asked', id, topic, body });
    });
  }

  /** SIGTERM lets it drain; after `timeoutMs` it is killed. */
  async stop(timeoutMs: number): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    await this.gone;
    clearTimeout(timer);
  }
}
