import { sleep } from '@headrace/base/clock';
import type { Log } from '@headrace/platform/log';
import type { Background } from '@headrace/platform/service';
import type { Telemetry } from '../telemetry.js';
import type { ExpireLeases } from './expire-leases.js';

/** Takes lost runs back although no worker is alive to do it, so that everyone sees in the record what became of them. */
export class LeaseSweeper implements Background {
  readonly name = 'lease sweeper';
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly leases: ExpireLeases,
    private readonly telemetry: Telemetry,
    private readonly log: Log,
    private readonly everyMs: number,
  ) {}

  start(): Promise<void> {
    this.#loop = this.#sweep();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #sweep(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      try {
        for (const run of await this.leases.sweep()) this.telemetry.attemptLost(run);
      } catch (error) {
        this.log.warn('leases could not be swept; trying again', { error });
      }
      await sleep(this.everyMs, this.#stopping.signal).catch(() => undefined);
    }
  }
}
