import type { Clock } from '@headrace/base/clock';
import { RunState } from '@headrace/contracts/training/v1/training';
import type { RolloutChanged, TrainingRequested, TrainingRunChanged } from '@headrace/contracts/events/v1/events';
import { CLOCK } from '@headrace/platform/platform-module';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { Inject, Injectable } from '@nestjs/common';
import { saveServing } from '../io/models.js';
import { saveRequested, saveRun } from '../io/retrainings.js';
import { Catalogue } from './catalogue.js';

const ENDED: ReadonlySet<RunState> = new Set([RunState.SUCCEEDED, RunState.FAILED, RunState.KILLED, RunState.CANCELLED]);

/** What the other services say about models: policy, champion, who serves, which trainings are under way. */
@Injectable()
export class FollowModels {
  constructor(
    private readonly postgres: Postgres,
    private readonly catalogue: Catalogue,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Events may be old; the registry says what holds now. @returns false for a model that it does not have. @throws when it is away: try again */
  async modelChanged(project: string, model: string): Promise<boolean> {
    return (await this.catalogue.refresh(project, model)) !== undefined;
  }

  /** @returns false when it is no news for us. */
  async rolloutChanged({ project, model, version, step }: RolloutChanged): Promise<boolean> {
    if (step !== 'swapped') return false;
    if (!(await this.catalogue.model(project, model)) && !(await this.catalogue.refresh(project, model))) return false;
    await saveServing(this.postgres, project, model, version);
    return true;
  }

  async trainingRequested({ project, model, requestId, reason }: TrainingRequested, atMs: number): Promise<boolean> {
    if (requestId === '' || model === '') return false;
    await saveRequested(this.postgres, { project, model, requestId, reason, requestedMs: this.#sane(atMs) });
    return true;
  }

  async runChanged({ run }: TrainingRunChanged, atMs: number): Promise<boolean> {
    if (!run || run.requestId === '') return false;
    const { project, model, requestId, reason, runId } = run;
    await saveRun(
      this.postgres,
      { project, model, requestId, reason, requestedMs: this.#sane(run.queuedAt?.getTime() ?? atMs) },
      { runId, open: !ENDED.has(run.state) },
    );
    return true;
  }

  /** Nobody can ask in the future: a wrong clock elsewhere must not stretch our cool-down. */
  #sane(atMs: number): number {
    return Math.min(Math.round(atMs), this.clock.nowMs());
  }
}
