import { Postgres } from '@headrace/platform/postgres/postgres';
import { Injectable } from '@nestjs/common';
import { runUnknown } from '../errors.js';
import { lockRun, type RunRow } from '../io/runs.js';
import { RunSteps } from './run-steps.js';

/** Ends a run at once in the record; its worker sees that at the next heartbeat and ends the training process. */
@Injectable()
export class CancelRun {
  constructor(
    private readonly postgres: Postgres,
    private readonly steps: RunSteps,
  ) {}

  /** Cancelling twice is fine. @throws AppError RUN_UNKNOWN | RUN_STATE_ILLEGAL when it ended otherwise before */
  cancel(project: string, runId: string): Promise<RunRow> {
    return this.postgres.transaction(async (tx) => {
      const run = await lockRun(tx, project, runId);
      if (!run) throw runUnknown(project, runId);
      if (run.state === 'cancelled') return run;
      return this.steps.step(tx, run, 'cancel', { lease: null, finished: true, failureCode: 'CANCELLED', failure: 'cancelled on request' });
    });
  }
}
