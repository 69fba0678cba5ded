import type { Postgres } from '@headrace/platform/postgres/postgres';
import { afterFailure, WorkerLost, type RetryLimits } from '../domain/retry-policy.js';
import { lockExpiredRuns, type RunRow } from '../io/runs.js';
import type { RunSteps } from './run-steps.js';

/** Most runs that one sweep takes back. */
const SWEEP_MAX = 50;

/** Takes runs back from workers that fell silent: queued again, or failed when the attempts are spent. Any process may do it, at any time. */
export class ExpireLeases {
  constructor(
    private readonly postgres: Postgres,
    private readonly steps: RunSteps,
    private readonly limits: RetryLimits,
  ) {}

  /** @returns what became of them. */
  sweep(): Promise<RunRow[]> {
    return this.postgres.transaction(async (tx) => {
      const swept: RunRow[] = [];
      for (const run of await lockExpiredRuns(tx, SWEEP_MAX)) {
        const reason = `worker ${run.lease_owner ?? 'unknown'} fell silent in attempt ${run.attempt}, step ${run.step || 'none'}`;
        const next = afterFailure(new WorkerLost(reason), run.attempt, this.limits);
        const failed = { lease: null, failureCode: 'TRAINING_FAILED', failure: reason };
        swept.push(
          next.again
            ? await this.steps.step(tx, run, 'requeue', { ...failed, notBeforeMs: next.afterMs })
            : await this.steps.step(tx, run, 'fail', { ...failed, finished: true }),
        );
      }
      return swept;
    });
  }
}
