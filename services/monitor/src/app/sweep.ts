import { sleep, type Clock } from '@headrace/base/clock';
import { CLOCK } from '@headrace/platform/platform-module';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import type { Background } from '@headrace/platform/service';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config.js';
import { countAlerts } from '../io/alerts.js';
import { countParked } from '../io/parked-batches.js';
import { countPending, dropOldest } from '../io/pending-outcomes.js';
import { SWEEP_ROWS, sweepGroups, sweepPanes, sweepParked, sweepPredictions } from '../io/retention.js';
import { Telemetry } from '../telemetry.js';

/** Statements of one kind in one sweep; the rest waits for the next. */
const ROUNDS_MAX = 100;

/** Removes what is older than its retention, in short statements, and reads the backlog gauges. */
@Injectable()
export class Sweep implements Background {
  readonly name = 'sweep';
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly postgres: Postgres,
    private readonly telemetry: Telemetry,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  start(): Promise<void> {
    this.#loop = this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#sweep().catch((error: unknown) => this.telemetry.sweepFailed(error));
      await sleep(this.config.sweepEveryMs, this.#stopping.signal).catch(() => undefined);
    }
  }

  async #sweep(): Promise<void> {
    const { predictionRetentionMs, paneRetentionMs, pendingRetentionMs, pendingMax } = this.config;
    const nowMs = this.clock.nowMs();
    const predictions = await this.#all((tx) => sweepPredictions(tx, nowMs - predictionRetentionMs));
    const panes = await this.#all((tx) => sweepPanes(tx, nowMs - paneRetentionMs));
    const groups = await this.#all((tx) => sweepGroups(tx, nowMs - paneRetentionMs));
    const parkedBatches = await this.#all((tx) => sweepParked(tx, nowMs - predictionRetentionMs));
    const late = await this.#all((tx) => dropOldest(tx, SWEEP_ROWS, nowMs - pendingRetentionMs));
    const excess = (await countPending(this.postgres)) - pendingMax;
    const crowded = excess > 0 ? await this.#all((tx, done) => dropOldest(tx, Math.min(SWEEP_ROWS, excess - done))) : 0;
    this.telemetry.outcomes('expired', late + crowded);
    this.telemetry.swept({ predictions, panes, groups, parkedBatches, pendingOutcomes: late + crowded });
    this.telemetry.backlog(await countPending(this.postgres), await countParked(this.postgres));
    this.telemetry.alertTotals(await countAlerts(this.postgres));
  }

  async #all(remove: (tx: Tx, done: number) => Promise<number>): Promise<number> {
    let done = 0;
    for (let round = 0; round < ROUNDS_MAX && !this.#stopping.signal.aborted; round++) {
      const removed = await remove(this.postgres, done);
      done += removed;
      if (removed < SWEEP_ROWS) break;
    }
    return done;
  }
}
