import { Postgres } from '@headrace/platform/postgres/postgres';
import { Injectable } from '@nestjs/common';
import { runUnknown } from '../errors.js';
import { listRuns, readRun, type RunRow } from '../io/runs.js';
import { listWorkers, type WorkerRow } from '../io/workers.js';

/** A worker that was silent for so long is gone. */
const WORKER_SILENT_MS = 60_000;

/** What is known of runs and workers, for both kinds of door. */
@Injectable()
export class Runs {
  constructor(private readonly postgres: Postgres) {}

  /** @throws AppError RUN_UNKNOWN */
  async get(project: string, runId: string): Promise<RunRow> {
    const run = await readRun(this.postgres, project, runId);
    if (!run) throw runUnknown(project, runId);
    return run;
  }

  /** Newest first. @param model '' = every model */
  list(project: string, model: string): Promise<RunRow[]> {
    return listRuns(this.postgres, project, model);
  }

  workers(): Promise<WorkerRow[]> {
    return listWorkers(this.postgres, WORKER_SILENT_MS);
  }
}
