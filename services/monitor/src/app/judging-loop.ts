import { sleep } from '@headrace/base/clock';
import type { Cause } from '@headrace/platform/kafka/cause';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { Background } from '@headrace/platform/service';
import { Injectable } from '@nestjs/common';
import { modelsWithOpenAlerts } from '../io/alerts.js';
import { recentVersionIds } from '../io/versions.js';
import { Catalogue } from './catalogue.js';
import { JudgeVersion } from './judge-version.js';
import { Surroundings } from './surroundings.js';

/** At start, versions with traffic in this time are judged once more: a crash may have come between data and judgement. */
const LOOK_BACK_MS = 86_400_000;

interface Unjudged {
  rows: number;
  cause: Cause | undefined;
}

/**
 * When to judge: on a timer, and during bulk ingestion as soon as a version got `minSamples` new rows. The second matters for k-of-n: a flood
 * of labels that is in before the timer strikes would otherwise be one judgement, and never persist.
 */
@Injectable()
export class JudgingLoop implements Background {
  readonly name = 'judging';
  readonly #unjudged = new Map<number, Unjudged>();
  readonly #stopping = new AbortController();
  #judging: Promise<void> = Promise.resolve();
  #loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly judge: JudgeVersion,
    private readonly catalogue: Catalogue,
    private readonly postgres: Postgres,
    private readonly around: Surroundings,
  ) {}

  /** A version got new predictions or labels (committed). Never throws: what it fails to judge stays for the timer. */
  async saw(versionId: number, rows: number, cause: Cause | undefined): Promise<void> {
    const unjudged = this.#unjudged.get(versionId) ?? { rows: 0, cause };
    this.#unjudged.set(versionId, { rows: unjudged.rows + rows, cause: cause ?? unjudged.cause });
    try {
      const { spec } = await this.catalogue.byId(versionId);
      if (unjudged.rows + rows >= spec.monitor.minSamples) await this.#judgeOne(versionId);
    } catch (error) {
      this.around.telemetry.judgementFailed(`version ${versionId}`, error);
    }
  }

  start(): Promise<void> {
    this.#loop = this.#run();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#judging;
  }

  async #run(): Promise<void> {
    let first = true;
    while (!this.#stopping.signal.aborted) {
      try {
        if (first)
          for (const id of await recentVersionIds(this.postgres, this.around.clock.nowMs() - LOOK_BACK_MS))
            await this.saw(id, 0, undefined);
        first = false;
        for (const versionId of [...this.#unjudged.keys()]) await this.#judgeOne(versionId);
        for (const { project, model } of await modelsWithOpenAlerts(this.postgres)) await this.judge.reconsider(project, model);
      } catch (error) {
        this.around.telemetry.judgementFailed('open alerts', error);
      }
      await sleep(this.around.config.judgeEveryMs, this.#stopping.signal).catch(() => undefined);
    }
  }

  /** One at a time in this process; other processes are held off by the model's lock. */
  #judgeOne(versionId: number): Promise<void> {
    const turn = this.#judging.then(async () => {
      const unjudged = this.#unjudged.get(versionId);
      if (!unjudged) return;
      this.#unjudged.delete(versionId);
      try {
        await this.judge.judge(versionId, unjudged.cause);
      } catch (error) {
        this.around.telemetry.judgementFailed(`version ${versionId}`, error);
        this.#unjudged.set(versionId, { rows: 0, cause: unjudged.cause });
      }
    });
    this.#judging = turn;
    return turn;
  }
}
