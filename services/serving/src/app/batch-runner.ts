import { AppError } from '@headrace/base/errors';
import type { Batch } from '../domain/batch-lane.js';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import type { PredictJob, ServedModel } from '../domain/predict-job.js';
import { nameOf } from '../domain/version-description.js';

/** What becomes of a job; each is given to exactly one of `answer`, `refuse` and (when it returns true) `isLate`. */
export interface RunnerCalls {
  answer(job: PredictJob, block: FeatureBlock, firstRow: number, scores: Float32Array, firstScore: number): void;
  refuse(job: PredictJob, error: AppError): void;
  /** Refuses a job that nobody waits for any more. */
  isLate(job: PredictJob): boolean;
}

/** Runs what waits in the lanes, one native run for each version, and large requests slice by slice. */
export class BatchRunner {
  readonly #calls: RunnerCalls;
  readonly #busy = new Set<ServedModel>();
  readonly #sliced: PredictJob[] = [];
  #isSliceDue = false;

  constructor(calls: RunnerCalls) {
    this.#calls = calls;
  }

  /** The job's rows stand at the end of its lane. */
  add(job: PredictJob): void {
    job.loaded.parts.lane.add(job);
    this.#busy.add(job.loaded);
  }

  /** The job has more rows than a lane takes, in a block of its own. */
  addLarge(job: PredictJob): void {
    job.scores = new Float32Array(job.rows);
    this.#sliced.push(job);
  }

  run(): void {
    this.#runLanes();
    this.#runSlices();
  }

  #runLanes(): void {
    // Without a pin nothing waits in its lane, and it may be unloaded by now.
    for (const model of this.#busy) if (model.pins > 0) this.runLane(model);
    this.#busy.clear();
  }

  runLane(model: ServedModel): void {
    if (model.parts.lane.waitingRows === 0) return;
    const batch = model.parts.lane.take();
    const startedAt = performance.now();
    let scores: Float32Array | Promise<Float32Array>;
    try {
      scores = model.parts.session.run(batch.block, 0, batch.rows);
    } catch (error) {
      this.#runAlone(model, batch, error);
      return;
    }
    if (scores instanceof Promise) {
      scores.then(
        (ready) => this.#finish(model, batch, ready, startedAt),
        (error: unknown) => this.#failBatch(model, batch, error),
      );
    } else this.#finish(model, batch, scores, startedAt);
  }

  #finish(model: ServedModel, batch: Batch<PredictJob>, scores: Float32Array, startedAt: number): void {
    const { lane } = model.parts;
    model.statistics.ran(batch.rows, (performance.now() - startedAt) / 1000);
    for (const job of batch.jobs) {
      model.statistics.queue.observe((startedAt - job.startedAtMs) / 1000);
      this.#calls.answer(job, batch.block, job.firstRow, scores, job.firstRow);
    }
    lane.recycle(batch);
  }

  /** One request that the runtime refuses must not fail its neighbours: each runs again, alone. */
  #runAlone(model: ServedModel, batch: Batch<PredictJob>, cause: unknown): void {
    if (batch.jobs.length === 1) return this.#failBatch(model, batch, cause);
    const { session, lane } = model.parts;
    for (const job of batch.jobs) {
      try {
        const startedAt = performance.now();
        const scores = session.run(batch.block, job.firstRow, job.rows);
        model.statistics.ran(job.rows, (performance.now() - startedAt) / 1000);
        model.statistics.queue.observe((startedAt - job.startedAtMs) / 1000);
        if (scores instanceof Promise) throw new Error('the public API never throws synchronously');
        this.#calls.answer(job, batch.block, job.firstRow, scores, 0);
      } catch (error) {
        this.#calls.refuse(job, runFailed(model, error));
      }
    }
    lane.recycle(batch);
  }

  #failBatch(model: ServedModel, batch: Batch<PredictJob>, cause: unknown): void {
    const { lane } = model.parts;
    for (const job of batch.jobs) this.#calls.refuse(job, runFailed(model, cause));
    lane.recycle(batch);
  }

  /** One slice of one large request a turn, so that small requests keep their latency beside it. */
  #runSlices(): void {
    if (this.#isSliceDue || this.#sliced.length === 0) return;
    this.#isSliceDue = true;
    setImmediate(() => void this.#runSlice());
  }

  async #runSlice(): Promise<void> {
    const job = this.#sliced[0]!;
    const { session, lane } = job.loaded.parts;
    const rows = Math.min(lane.rowsMax, job.rows - job.rowsDone);
    let failure: AppError | undefined;
    try {
      const startedAt = performance.now();
      const answer = session.run(job.block!, job.rowsDone, rows);
      // Not awaited when it is there: the session's memory is good only until its next run.
      const scores = answer instanceof Promise ? await answer : answer;
      job.scores!.set(scores.subarray(0, rows), job.rowsDone);
      job.loaded.statistics.ran(rows, (performance.now() - startedAt) / 1000);
      if (job.rowsDone === 0) job.loaded.statistics.queue.observe((startedAt - job.startedAtMs) / 1000);
      job.rowsDone += rows;
    } catch (error) {
      failure = runFailed(job.loaded, error);
    }
    const isDone = failure !== undefined || job.rowsDone === job.rows;
    if (failure) this.#calls.refuse(job, failure);
    else if (isDone) this.#calls.answer(job, job.block!, 0, job.scores!, 0);
    if (isDone || this.#calls.isLate(job)) this.#sliced.shift();
    this.#isSliceDue = false;
    this.#runSlices();
  }
}

function runFailed(model: ServedModel, cause: unknown): AppError {
  return new AppError('INTERNAL', `${nameOf(model)} failed to run; the log of the server holds the cause`, { cause });
}
