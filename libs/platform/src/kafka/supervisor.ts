import { sleep } from '@headrace/base/clock';
import type { EventConsumer } from './client.js';
import { backoffMs } from './deliver.js';

export interface SupervisorHooks {
  readonly onJoined: () => void;
  readonly onLost: (error: unknown, delayMs: number) => void;
  readonly onStuck: () => void;
}

const REOPEN_DELAY = { initialDelayMs: 100, maxDelayMs: 5_000 };

/** Keeps one consumer of a subscription alive: when it ends, or Kafka is away, another is opened after a bounded delay. */
export class Supervisor {
  readonly #open: () => Promise<EventConsumer>;
  readonly #hooks: SupervisorHooks;
  readonly #stopping = new AbortController();
  readonly #joined = Promise.withResolvers<void>();
  #consumer: EventConsumer | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(open: () => Promise<EventConsumer>, hooks: SupervisorHooks) {
    this.#open = open;
    this.#hooks = hooks;
  }

  /** Resolves when the group was joined, or after `waitMs` while the attempts go on. */
  async start(waitMs: number): Promise<void> {
    this.#loop = this.#keepOpen();
    const patience = new AbortController();
    await Promise.race([this.#joined.promise, sleep(waitMs, patience.signal).catch(() => undefined)]);
    patience.abort();
  }

  async stop(waitMs: number): Promise<void> {
    this.#stopping.abort();
    const patience = new AbortController();
    const stopped = this.#stopAll().then(() => true);
    const inTime = await Promise.race([
      stopped,
      sleep(waitMs, patience.signal).then(
        () => false,
        () => true,
      ),
    ]);
    patience.abort();
    if (!inTime) this.#hooks.onStuck();
  }

  async #stopAll(): Promise<void> {
    await this.#consumer?.stop();
    await this.#loop;
  }

  async #keepOpen(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted;) {
      const startedAtMs = Date.now();
      let reason: unknown;
      try {
        this.#consumer = await this.#openOrStop();
        if (this.#consumer === undefined) break;
        await this.#consumer.start();
        this.#joined.resolve();
        this.#hooks.onJoined();
        reason = await Promise.race([this.#consumer.ended, aborted(this.#stopping.signal)]);
      } catch (error) {
        reason = error;
      }
      if (this.#stopping.signal.aborted) break;
      failures = Date.now() - startedAtMs > 60_000 ? 1 : failures + 1; // a long life pays old debts
      const delayMs = backoffMs(failures, REOPEN_DELAY);
      this.#hooks.onLost(reason, delayMs);
      await this.#close();
      await sleep(delayMs, this.#stopping.signal).catch(() => undefined);
    }
    await this.#close();
  }

  /** A broker that is away may hold `open` for its retries; a stop does not wait for that. undefined = stopping. */
  async #openOrStop(): Promise<EventConsumer | undefined> {
    const opening = this.#open();
    const consumer = await Promise.race([opening, aborted(this.#stopping.signal)]);
    // What opens too late was never started and holds nothing.
    if (consumer === undefined) opening.catch(() => undefined);
    return this.#stopping.signal.aborted ? undefined : consumer;
  }

  async #close(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = undefined;
    await consumer?.stop().catch((error: unknown) => this.#hooks.onLost(error, 0));
  }
}

const aborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
