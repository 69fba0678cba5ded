import { sleep } from '@headrace/base/clock';
import { AppError, messageOf, toAppError } from '@headrace/base/errors';
import type { Log } from '@headrace/platform/log';
import { isUniqueViolation } from '@headrace/platform/postgres/errors';
import type { Postgres } from '@headrace/platform/postgres/postgres';
import { afterFailure, type RetryLimits } from '../domain/retry-policy.js';
import type { RunEvent } from '../domain/run-state.js';
import type { MachineResources } from '../io/machine.js';
import { killSurvivor } from '../io/process-group.js';
import { lockNextRun, lockRun, noteChild, renewLease, type Hold, type RunChange, type RunRow } from '../io/runs.js';
import type { WorkFolders } from '../io/work-folders.js';
import { announceWorker, removeWorker } from '../io/workers.js';
import type { Telemetry } from '../telemetry.js';
import type { ExpireLeases } from './expire-leases.js';
import type { RunSteps } from './run-steps.js';
import type { Attempt, Trained } from './train-model.js';

export interface WorkerSettings {
  readonly workerId: string;
  readonly leaseMs: number;
  readonly pollMs: number;
  readonly runLimitMs: number;
  readonly limits: RetryLimits;
}

export interface WorkerParts {
  readonly postgres: Postgres;
  readonly steps: RunSteps;
  readonly leases: ExpireLeases;
  readonly folders: WorkFolders;
  readonly machine: MachineResources;
  readonly telemetry: Telemetry;
  readonly log: Log;
  readonly train: (attempt: Attempt) => Promise<Trained>;
}

/** Why an attempt was broken off. */
type Interruption = 'lost' | 'limit' | 'stopping';

class Interrupted extends Error {
  readonly why: Interruption;
  constructor(why: Interruption) {
    super(`the attempt was interrupted: ${why}`);
    this.why = why;
  }
}

/**
 * Takes one run at a time, holds it under a lease that heartbeats renew, and writes the outcome only while it still holds it: a worker
 * that was believed dead cannot overwrite the one that came after it.
 */
export class Worker {
  readonly #settings: WorkerSettings;
  readonly #parts: WorkerParts;
  readonly #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #runId = '';
  #announcedMs = 0;

  constructor(settings: WorkerSettings, parts: WorkerParts) {
    this.#settings = settings;
    this.#parts = parts;
  }

  start(): void {
    this.#loop = this.#work();
  }

  /** Hands the run in hand back to the queue and ends its process. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Interrupted('stopping'));
    await this.#loop;
    await removeWorker(this.#parts.postgres, this.#settings.workerId).catch(() => undefined); // without it the row is forgotten as silent
  }

  async #work(): Promise<void> {
    const { log } = this.#parts;
    while (!this.#stopping.signal.aborted) {
      let worked = false;
      try {
        worked = await this.#once();
      } catch (error) {
        log.warn('worker cannot reach its queue; trying again', { error });
      }
      if (!worked) await sleep(this.#settings.pollMs, this.#stopping.signal).catch(() => undefined);
    }
  }

  /** @returns false when there was nothing to do. */
  async #once(): Promise<boolean> {
    await this.#announce();
    for (const run of await this.#parts.leases.sweep()) this.#parts.telemetry.attemptLost(run);
    const run = await this.#claim();
    if (!run) return false;
    this.#runId = run.run_id;
    try {
      await this.#attempt(run);
    } finally {
      this.#runId = '';
    }
    return true;
  }

  async #announce(): Promise<void> {
    if (performance.now() - this.#announcedMs < this.#settings.leaseMs / 3 && this.#announcedMs > 0) return;
    await announceWorker(this.#parts.postgres, this.#settings.workerId, process.pid, this.#parts.machine, this.#runId);
    this.#announcedMs = performance.now();
  }

  async #claim(): Promise<RunRow | undefined> {
    const { postgres, steps } = this.#parts;
    const { workerId: owner, leaseMs: forMs } = this.#settings;
    try {
      return await postgres.transaction(async (tx) => {
        const run = await lockNextRun(tx);
        if (!run) return undefined;
        return steps.step(tx, run, 'admit', {
          attempt: run.attempt + 1,
          lease: { owner, forMs },
          step: '',
          started: true,
          failureCode: '',
          failure: '',
        });
      });
    } catch (error) {
      // Another worker took a run of the same model at the same moment; ours waits behind it.
      if (isUniqueViolation(error, 'runs_one_active')) return undefined;
      throw error;
    }
  }

  async #attempt(run: RunRow): Promise<void> {
    const { postgres, machine, folders, telemetry, log } = this.#parts;
    const hold: Hold = { project: run.project, runId: run.run_id, owner: this.#settings.workerId, attempt: run.attempt };
    const interrupt = new AbortController();
    const onStop = (): void => interrupt.abort(this.#stopping.signal.reason);
    this.#stopping.signal.addEventListener('abort', onStop, { once: true });
    if (this.#stopping.signal.aborted) onStop();
    const limit = setTimeout(() => interrupt.abort(new Interrupted('limit')), this.#settings.runLimitMs);
    const pulse = new Pulse(this.#settings.leaseMs, async (step) => {
      this.#announcedMs = 0;
      await this.#announce();
      return renewLease(postgres, hold, this.#settings.leaseMs, step);
    });
    pulse.start(() => interrupt.abort(new Interrupted('lost')));
    telemetry.attemptStarted(run);
    try {
      if (run.child_pid !== null && run.child_host === machine.host && (await killSurvivor(run.child_pid, run.run_id))) {
        log.warn('ended the training process of a lost attempt', { runId: run.run_id, pid: run.child_pid });
      }
      await folders.prune([run.run_id]);
      const workDir = await folders.open(run.run_id, run.attempt);
      await this.#finish(hold, 'start', {});
      const trained = await telemetry.traced(run, () =>
        this.#parts.train({
          run,
          workDir,
          signal: interrupt.signal,
          onStep: (step) => pulse.note(step),
          onPid: async (pid) => {
            if (!(await noteChild(postgres, hold, machine.host, pid))) interrupt.abort(new Interrupted('lost'));
          },
        }),
      );
      interrupt.signal.throwIfAborted();
      await this.#finish(hold, 'succeed', {
        step: 'done',
        version: trained.version,
        metrics: trained.metrics,
        lease: null,
        finished: true,
      });
      telemetry.attemptSucceeded(run, trained.version);
    } catch (error) {
      // A call that was cut by the interruption reports the cut; the interruption is the reason.
      await this.#unsuccessful(hold, run, interrupt.signal.aborted ? interrupt.signal.reason : error, pulse.step);
    } finally {
      clearTimeout(limit);
      pulse.stop();
      this.#stopping.signal.removeEventListener('abort', onStop);
    }
  }

  async #unsuccessful(hold: Hold, run: RunRow, error: unknown, step: string): Promise<void> {
    const { telemetry, log } = this.#parts;
    try {
      if (error instanceof Interrupted) return await this.#interrupted(hold, run, error.why, step);
      const { code } = toAppError(error);
      const failure = messageOf(error);
      const next = afterFailure(error, run.attempt, this.#settings.limits);
      const change = { step, lease: null, failureCode: code, failure };
      await (next.again
        ? this.#finish(hold, 'requeue', { ...change, notBeforeMs: next.afterMs })
        : this.#finish(hold, 'fail', { ...change, finished: true }));
      telemetry.attemptFailed(run, error, next.again);
    } catch (unwritten) {
      // Lost the hold or the database: whoever holds the run now, or the sweep after the lease, writes the outcome.
      log.warn('the outcome of an attempt could not be written; its lease will expire', {
        runId: run.run_id,
        error: unwritten,
        outcome: messageOf(error),
      });
    }
  }

  async #interrupted(hold: Hold, run: RunRow, why: Interruption, step: string): Promise<void> {
    const { log } = this.#parts;
    log.info('attempt interrupted', { runId: run.run_id, model: run.model, why, step });
    if (why === 'limit') {
      const failure = `the attempt took longer than ${this.#settings.runLimitMs} ms (HEADRACE_TRAINER_RUN_LIMIT_MS) and was killed in step ${step}`;
      await this.#finish(hold, 'kill', { step, lease: null, failureCode: 'DEADLINE_EXCEEDED', failure, finished: true });
    }
    // A worker that is told to stop gives the attempt back as if it had never been.
    if (why === 'stopping') await this.#finish(hold, 'requeue', { step, lease: null, attempt: run.attempt - 1, notBeforeMs: 0 });
  }

  /** @throws AppError CANCELLED when the run is not ours any more; then nothing is written */
  async #finish(hold: Hold, event: RunEvent, change: Omit<RunChange, 'state'>): Promise<void> {
    const { postgres, steps } = this.#parts;
    await postgres.transaction(async (tx) => {
      const row = await lockRun(tx, hold.project, hold.runId);
      if (row?.lease_owner !== hold.owner || row.attempt !== hold.attempt)
        throw new AppError('CANCELLED', `run ${hold.runId} is not held by ${hold.owner} any more`);
      await steps.step(tx, row, event, change);
    });
  }
}

/** Three heartbeats a lease. When none got through for a whole lease, another worker may hold the run already. */
class Pulse {
  step = '';
  readonly #leaseMs: number;
  readonly #beat: (step: string) => Promise<boolean>;
  #timer: NodeJS.Timeout | undefined;

  constructor(leaseMs: number, beat: (step: string) => Promise<boolean>) {
    this.#leaseMs = leaseMs;
    this.#beat = beat;
  }

  note(step: string): void {
    this.step = step;
  }

  start(onLost: () => void): void {
    let heldUntilMs = performance.now() + this.#leaseMs;
    let beating = false;
    const beat = async (): Promise<void> => {
      if (performance.now() > heldUntilMs) return onLost();
      if (beating) return;
      beating = true;
      const sentMs = performance.now();
      try {
        if (!(await this.#beat(this.step))) return onLost();
        heldUntilMs = sentMs + this.#leaseMs;
      } catch {
        // The database is away: the lease runs on until its end, and the next beat tries again.
      } finally {
        beating = false;
      }
    };
    this.#timer = setInterval(() => void beat(), this.#leaseMs / 3);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
