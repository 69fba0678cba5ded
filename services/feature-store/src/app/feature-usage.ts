import { Injectable } from '@nestjs/common';
import { sleep } from '@headrace/base/clock';
import { Log } from '@headrace/platform/log';
import type { Background } from '@headrace/platform/service';
import { UsageStore } from '../io/usage-store.js';
import { FeatureTelemetry } from '../telemetry.js';

/** A process that dies loses the counts of this long at most. */
const STORE_EVERY_MS = 10_000;
const FORGET_EVERY_MS = 3_600_000;

/** Stores what was counted in memory. */
@Injectable()
export class FeatureUsage implements Background {
  readonly name = 'feature-usage';
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly store: UsageStore,
    private readonly telemetry: FeatureTelemetry,
    private readonly log: Log,
  ) {}

  start(): Promise<void> {
    this.#running = this.#follow();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the service is stopping'));
    await this.#running;
  }

  /** Also before usage is told, so that a caller finds his own reads. */
  async storeNow(): Promise<void> {
    const counts = this.telemetry.usage.take();
    try {
      await this.store.addOnline(counts);
    } catch (error) {
      this.telemetry.usage.putBack(counts);
      throw error;
    }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    for (let sinceForgottenMs = FORGET_EVERY_MS; ; sinceForgottenMs += STORE_EVERY_MS) {
      try {
        await this.storeNow();
        if (sinceForgottenMs >= FORGET_EVERY_MS) {
          sinceForgottenMs = 0;
          await this.store.forgetOld();
        }
      } catch (error) {
        this.log.warn('usage counts wait for Postgres', { error });
      }
      if (signal.aborted) return;
      await sleep(STORE_EVERY_MS, signal).catch(() => undefined); // stopped, not failed: stored once more
    }
  }
}
