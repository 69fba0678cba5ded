import { AppError, messageOf, type ErrorCode } from '@headrace/base/errors';
import type { OutgoingRecord } from '@headrace/events/envelope';
import { Worker } from 'node:worker_threads';
import type { EventProducer, KafkaLibrary, KafkaLibraryOptions } from './client.js';

export interface ThreadOptions {
  readonly library: KafkaLibrary['name'];
  readonly kafka: Omit<KafkaLibraryOptions, 'log'>;
}

/** `close` comes last. */
export type ToThread =
  { readonly kind: 'send'; readonly id: number; readonly records: readonly OutgoingRecord[] } | { readonly kind: 'close' };

export type FromThread =
  | { readonly kind: 'sent'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly error: SentError }
  | {
      readonly kind: 'log';
      readonly level: 'warn' | 'debug';
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    };

export interface SentError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Readonly<Record<string, string>>;
}

/** Of the thread's young generation. Small, so that it is collected often: each collection frees copies of messages that lie outside of the heap. */
const YOUNG_GENERATION_MB = 4;
const CLOSE_TIMEOUT_MS = 20_000;

/**
 * A producer in a thread of its own. What a client library does with a message (copies, checksum, socket) is neither on the event loop that made it, nor
 * garbage in its heap. Values in shared memory are read without a copy: they must stay as they are until `send` has resolved; others are copied.
 */
export class ThreadedProducer implements EventProducer {
  readonly #library: KafkaLibrary['name'];
  readonly #options: KafkaLibraryOptions;
  readonly #sends = new Map<number, { resolve(): void; reject(error: AppError): void }>();
  #thread: Worker | undefined;
  #lastId = 0;
  #closed: Promise<void> | undefined;

  constructor(library: KafkaLibrary['name'], options: KafkaLibraryOptions) {
    this.#library = library;
    this.#options = options;
  }

  send(records: readonly OutgoingRecord[]): Promise<void> {
    if (this.#closed) return Promise.reject(new AppError('DEPENDENCY_UNAVAILABLE', 'Kafka: the producer is closed'));
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#sends.set(id, { resolve, reject });
      this.#post((this.#thread ??= this.#open()), { kind: 'send', id, records });
    });
  }

  /** Waits for what is being sent, for a bounded time. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  #post(thread: Worker, message: ToThread): void {
    thread.postMessage(message);
  }

  #open(): Worker {
    // Tests run the source, and Node cannot; the build stands beside it.
    const script = import.meta.url.endsWith('.ts') ? '../../dist/kafka/producer-thread.js' : './producer-thread.js';
    const { log, ...kafka } = this.#options;
    const workerData: ThreadOptions = { library: this.#library, kafka };
    const thread = new Worker(new URL(script, import.meta.url), {
      workerData,
      env: {},
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    thread.on('message', (message: FromThread) => this.#hear(message));
    let reason = 'it ended';
    thread.on('error', (error) => {
      reason = messageOf(error);
      log.warn('the thread of the Kafka producer failed; the next send starts another', { error: reason });
    });
    thread.on('exit', () => {
      if (this.#thread === thread) this.#thread = undefined;
      // The next thread's sends come later: all that wait now were in this one.
      for (const { reject } of this.#sends.values())
        reject(new AppError('DEPENDENCY_UNAVAILABLE', `Kafka: the producer's thread is gone: ${reason}`));
      this.#sends.clear();
    });
    return thread;
  }

  #hear(message: FromThread): void {
    if (message.kind === 'log') return this.#options.log[message.level](message.message, message.fields);
    const send = this.#sends.get(message.id);
    this.#sends.delete(message.id);
    if (message.kind === 'sent') send?.resolve();
    else send?.reject(new AppError(message.error.code, message.error.message, { details: message.error.details }));
  }

  async #close(): Promise<void> {
    const thread = this.#thread;
    if (!thread) return;
    const ended = new Promise<void>((resolve) => thread.once('exit', () => resolve()));
    this.#post(thread, { kind: 'close' });
    const timer = setTimeout(() => void thread.terminate(), CLOSE_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }
}
