import { AppError } from '@headrace/base/errors';
import type { Batch } from '../domain/batch-lane.js';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import type { PredictJob, ServedModel } from '../domain/predict-job.js';
import { runOutputs } from '../domain/predict-outputs.js';
import { nameOf } from '../domain/version-description.js';

/** What becomes of a job; each is given to exactly one of `answer`, `refuse` and (when it returns true) `isLate`. */
export interface RunnerCalls {
  /** @param nowMs when the run ended, ms since the epoch. @returns whether its time counts as that of an answer: not of a shadow, nor when it was refused for its scores */
  answer(job: PredictJob, block: FeatureBlock, firstRow: number, scores: Float32Array, firstScore: number, nowMs: number): boolean;
  refuse(job: PredictJob, error: AppError): void;
  /** Refuses a job that nobody waits for any more. A function of its own: it is handed on without a closure. */
  readonly isLate: (job: PredictJob, nowMs: number) => boolean;
}

export interface RunnerTime {
  /** ms since the epoch */
  nowMs(): number;
  after(delayMs: number, ring: () => void): void;
}

/** Batches of a version that runs elsewhere: one runs, one waits there. What comes meanwhile fills the next, so that it is a large one. */
const BATCHES_AHEAD = 2;

/**
 * So many requests are run and answered before the rest of a turn is read. A client with many calls in flight sends them together once they were answered together: without
 * this one waits while the other works, and 64 calls on one connection get 0.65 times the answers (measured). Fewer would make more writes than it saves: one costs 10 to 40 us.
 */
const JOBS_AT_ONCE = 32;
/** A run that will take so much of the longest that may stay on the event loop takes no more rows, so that a slower machine makes smaller batches. */
const SHARE_OF_BOUND = 0.7;

/** Runs what waits in the lanes, one native run for each version, and large requests slice by slice. */
export class BatchRunner {
  readonly #calls: RunnerCalls;
  readonly #time: RunnerTime;
  /** When the timer for batches that wait will ring, ms since the epoch. */
  #ringsAtMs = Infinity;
  readonly #busy = new Set<ServedModel>();
  readonly #sliced: PredictJob[] = [];
  #isSliceDue = false;

  constructor(calls: RunnerCalls, time: RunnerTime) {
    this.#calls = calls;
    this.#time = time;
  }

  /** The job's rows stand at the end of its lane. */
  add(job: PredictJob): void {
    const { lane } = job.loaded.parts;
    lane.add(job, lane.delayMs > 0 ? this.#time.nowMs() : 0);
    this.#busy.add(job.loaded);
  }

  /** The job has more rows than a lane takes, or asks for more than scores; its rows are in a block of its own. */
  addLarge(job: PredictJob): void {
    job.scores = new Float32Array(job.rows);
    this.#sliced.push(job);
  }

  run(): void {
    this.#runLanes();
    this.#runSlices();
  }

  /** Runs what is here already, if it is enough, where the rest of the turn would wait with it. @returns whether it did */
  runEarly(model: ServedModel): boolean {
    const { lane, watch } = model.parts;
    const isEnough = lane.waitingJobs >= JOBS_AT_ONCE || lane.isFull || lane.expectedMs >= watch.boundMs * SHARE_OF_BOUND;
    if (!isEnough || lane.delayMs > 0 || watch.place !== 'here') return false;
    this.runLane(model);
    return true;
  }

  #runLanes(): void {
    let nextMs = Infinity;
    for (const model of this.#busy) {
      // Without a pin nothing waits in its lane, and it may be unloaded by now.
      const lane = model.pins > 0 ? model.parts.lane : undefined;
      if (lane && lane.delayMs > 0 && lane.waitingRows > 0 && !lane.isFull && lane.dueAtMs > this.#time.nowMs()) {
        nextMs = Math.min(nextMs, lane.dueAtMs);
        continue;
      }
      // A session elsewhere that has enough takes what waits as soon as it has answered.
      if (lane && lane.running < BATCHES_AHEAD) this.runLane(model);
      this.#busy.delete(model);
    }
    this.#ring(nextMs);
  }

  /** One timer for the batch that is due first; one that is set already and rings later does no harm. */
  #ring(atMs: number): void {
    if (atMs >= this.#ringsAtMs) return;
    this.#ringsAtMs = atMs;
    this.#time.after(Math.max(1, atMs - this.#time.nowMs()), () => {
      if (this.#ringsAtMs === atMs) this.#ringsAtMs = Infinity;
      this.run();
    });
  }

  runLane(model: ServedModel): void {
    const { parts } = model;
    const { lane, session } = parts;
    lane.sift(this.#calls.isLate, this.#time.nowMs());
    if (lane.waitingRows === 0) return;
    const batch = lane.take();
    const startedAt = performance.now();
    let scores: Float32Array | Promise<Float32Array>;
    try {
      scores = session.run(batch.block, 0, batch.rows);
    } catch (error) {
      void this.#runAlone(model, batch, error);
      return;
    }
    if (scores instanceof Promise) {
      scores
        .then(
          (ready) => this.#finish(model, batch, ready, startedAt),
          (error: unknown) => this.#runAlone(model, batch, error),
        )
        .then(() => {
          if (model.pins > 0) this.runLane(model);
        }, rethrowLater);
    } else {
      const { rows } = batch;
      parts.watch.ranHere(rows, this.#finish(model, batch, scores, startedAt));
    }
  }

  /** @returns what the run took, ms. */
  #finish(model: ServedModel, batch: Batch<PredictJob>, scores: Float32Array, startedAt: number): number {
    const { lane } = model.parts;
    const ranAt = performance.now();
    const nowMs = this.#time.nowMs();
    model.statistics.ran(batch.rows, (ranAt - startedAt) / 1000);
    lane.ran(batch.rows, ranAt - startedAt);
    // Those that came in one turn have the same times: the clock is read once for them, and they are counted once.
    let [cameAtMs, came, answered] = [batch.jobs[0]!.startedAtMs, 0, 0];
    for (let i = 0; i < batch.count; i++) {
      const job = batch.jobs[i]!;
      if (job.startedAtMs !== cameAtMs) {
        countTimes(model, cameAtMs, startedAt, came, answered);
        [cameAtMs, came, answered] = [job.startedAtMs, 0, 0];
      }
      came++;
      if (this.#calls.answer(job, batch.block, job.firstRow, scores, job.firstRow, nowMs)) answered++;
    }
    countTimes(model, cameAtMs, startedAt, came, answered);
    // Rows were copied into the batch when they came: a run has no input of its own to prepare.
    model.statistics.ranFor(batch.count, 0, (ranAt - startedAt) / 1000, (performance.now() - ranAt) / 1000);
    lane.recycle(batch);
    return ranAt - startedAt;
  }

  /** One request that the runtime refuses must not fail its neighbours: each runs again, alone. */
  async #runAlone(model: ServedModel, batch: Batch<PredictJob>, cause: unknown): Promise<void> {
    // An AppError is nobody's row: the session itself is away.
    if (batch.count === 1 || cause instanceof AppError) return this.#failBatch(model, batch, cause);
    const { lane } = model.parts;
    for (const job of batch.jobs.slice(0, batch.count)) {
      try {
        const startedAt = performance.now();
        // The session of now: the version may move to another place between two runs.
        const answer = model.parts.session.run(batch.block, job.firstRow, job.rows);
        // Not awaited when it is there: the session's memory is good only until its next run.
        const scores = answer instanceof Promise ? await answer : answer;
        const seconds = (performance.now() - startedAt) / 1000;
        model.statistics.ran(job.rows, seconds);
        model.statistics.ranFor(1, 0, seconds, 0);
        const { startedAtMs } = job;
        const isAnswered = this.#calls.answer(job, batch.block, job.firstRow, scores, 0, this.#time.nowMs());
        countTimes(model, startedAtMs, startedAt, 1, isAnswered ? 1 : 0);
      } catch (error) {
        this.#calls.refuse(job, runFailed(model, error));
      }
    }
    lane.recycle(batch);
  }

  #failBatch(model: ServedModel, batch: Batch<PredictJob>, cause: unknown): void {
    const { lane } = model.parts;
    for (const job of batch.jobs.slice(0, batch.count)) this.#calls.refuse(job, runFailed(model, cause));
    lane.recycle(batch);
  }

  /** One slice of one large request a turn, so that small requests keep their latency beside it. */
  #runSlices(): void {
    if (this.#isSliceDue || this.#sliced.length === 0) return;
    this.#isSliceDue = true;
    setImmediate(() => this.#runSlice());
  }

  #runSlice(): void {
    const job = this.#sliced.shift()!;
    const { session, lane, watch } = job.loaded.parts;
    const rows = Math.min(lane.rowsMax, job.rows - job.rowsDone);
    const startedAt = performance.now();
    try {
      const answer = job.outputs.length > 0 ? runOutputs(job, rows) : session.run(job.block!, job.rowsDone, rows);
      if (answer instanceof Promise) {
        // Its next slice stands behind those of others, which need not wait for a slow model.
        answer
          .then(
            (scores) => this.#sliceRan(job, rows, scores, startedAt) && this.#sliced.push(job),
            (error: unknown) => this.#calls.refuse(job, runFailed(job.loaded, error)),
          )
          .then(() => this.#runSlices(), rethrowLater);
      } else {
        watch.ranHere(rows, performance.now() - startedAt);
        if (this.#sliceRan(job, rows, answer, startedAt)) this.#sliced.unshift(job);
      }
    } catch (error) {
      this.#calls.refuse(job, runFailed(job.loaded, error));
    }
    this.#isSliceDue = false;
    this.#runSlices();
  }

  /** @returns whether there is more to run. */
  #sliceRan(job: PredictJob, rows: number, scores: Float32Array, startedAt: number): boolean {
    const { startedAtMs } = job;
    const { statistics } = job.loaded;
    job.scores!.set(scores.subarray(0, rows), job.rowsDone);
    const seconds = (performance.now() - startedAt) / 1000;
    statistics.ran(rows, seconds);
    statistics.ranFor(job.rowsDone === 0 ? 1 : 0, 0, seconds, 0);
    if (job.rowsDone === 0) statistics.queue.observe((startedAt - startedAtMs) / 1000);
    job.rowsDone += rows;
    if (job.rowsDone < job.rows) return !this.#calls.isLate(job, this.#time.nowMs());
    if (this.#calls.answer(job, job.block!, 0, job.scores!, 0, this.#time.nowMs()))
      statistics.latency.observe((performance.now() - startedAtMs) / 1000);
    return false;
  }
}

/** Of requests that came together. @param ranAtMs when their run began, as performance.now() */
function countTimes({ statistics }: ServedModel, cameAtMs: number, ranAtMs: number, came: number, answered: number): void {
  statistics.queue.observe((ranAtMs - cameAtMs) / 1000, came);
  if (answered > 0) statistics.latency.observe((performance.now() - cameAtMs) / 1000, answered);
}

/** A defect of ours must end the process with its reason, as any uncaught one does. */
function rethrowLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

function runFailed(model: ServedModel, cause: unknown): AppError {
  if (cause instanceof AppError) return cause;
  return new AppError('INTERNAL', `${nameOf(model)} failed to run; the log of the server holds the cause`, { cause });
}
