import { Inject, Injectable } from '@nestjs/common';
import { sleep } from '@headrace/base/clock';
import { Log } from '@headrace/platform/log';
import type { Background } from '@headrace/platform/service';
import { LIMITS, type Limits } from '../config.js';
import { EraseEntity } from './erase-entity.js';
import { RetireRows } from './retire-rows.js';

/** Nobody has touched an erasure for so long: its process is dead, or a store was away. */
const ERASURE_QUIET_MS = 60_000;

/** What must be done some time, by any process: erasures that were cut short, rows past their retention. */
@Injectable()
export class Housekeeping implements Background {
  readonly name = 'housekeeping';
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly erasures: EraseEntity,
    private readonly retirement: RetireRows,
    @Inject(LIMITS) private readonly limits: Limits,
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

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(this.limits.housekeepingEveryMs, signal).catch(() => undefined); // stopped, not failed
      if (signal.aborted) return;
      await this.#try('erasures', () => this.#resumeErasures());
      await this.#try('retention', () => this.retirement.turn());
    }
  }

  async #resumeErasures(): Promise<void> {
    const resumed = await this.erasures.resume(ERASURE_QUIET_MS);
    if (resumed > 0) this.log.info('erasures that were cut short are done', { resumed });
  }

  /** One that fails does not hold up the other. */
  async #try(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.log.warn('housekeeping failed; the next turn tries again', { what, error });
    }
  }
}
