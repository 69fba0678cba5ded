import { messageOf } from '@headrace/base/errors';
import type { RolloutChanged } from '@headrace/contracts/events/v1/events';
import { rolloutChanged } from '@headrace/events/catalog';
import type { Cause } from '@headrace/platform/kafka/cause';
import type { EventPublisher } from '@headrace/platform/kafka/publisher';
import type { Log } from '@headrace/platform/log';

/** Events that wait for Kafka; a swap must not wait with them. */
const WAITING_MAX = 1_000;
const RETRY_MS = { first: 200, longest: 5_000 };

/** Publishes what became of versions, in order, without holding anyone up. Past the bound the oldest are lost, and counted. */
export class RolloutEvents {
  readonly #waiting: { readonly event: RolloutChanged; readonly cause: Cause | undefined }[] = [];
  readonly #publisher: Pick<EventPublisher, 'publish'>;
  readonly #log: Pick<Log, 'warn'>;
  readonly #onLost: () => void;
  readonly #closeMs: number;
  #sending: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(publisher: Pick<EventPublisher, 'publish'>, log: Pick<Log, 'warn'>, closeMs: number, onLost: () => void) {
    this.#closeMs = closeMs;
    this.#publisher = publisher;
    this.#log = log;
    this.#onLost = onLost;
  }

  say(event: RolloutChanged, cause: Cause | undefined): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#waiting.shift();
      this.#onLost();
    }
    this.#waiting.push({ event, cause });
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
  }

  /** Waits for a bounded time; events left then are counted as lost. */
  async close(): Promise<void> {
    const timer = setTimeout(() => this.#closing.abort(), this.#closeMs);
    const given = new Promise<void>((resolve) => this.#closing.signal.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([this.#sending, given]);
    clearTimeout(timer);
    this.#closing.abort();
    for (let left = this.#waiting.length; left > 0; left--) this.#onLost();
  }

  async #send(): Promise<void> {
    let delayMs = RETRY_MS.first;
    while (this.#waiting.length > 0 && !this.#closing.signal.aborted) {
      const next = this.#waiting[0]!;
      try {
        await this.#publisher.publish(rolloutChanged, [next.event], next.cause);
        if (this.#waiting[0] === next) this.#waiting.shift();
        delayMs = RETRY_MS.first;
      } catch (error) {
        this.#log.warn('a rollout event could not be published; it is tried again', {
          model: next.event.model,
          version: next.event.version,
          step: next.event.step,
          error: messageOf(error),
        });
        await new Promise((resolve) => setTimeout(resolve, delayMs).unref());
        delayMs = Math.min(delayMs * 2, RETRY_MS.longest);
      }
    }
  }
}
