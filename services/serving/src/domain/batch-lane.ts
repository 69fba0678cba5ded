import { FeatureBlock } from '@headrace/executor/feature-block';
import type { InputPlan } from '@headrace/executor/input-plan';

/** What the lane needs to know of a waiting request; `firstRow` is set by the lane. */
export interface LaneJob {
  readonly rows: number;
  firstRow: number;
  /** ms since the epoch; Infinity = none. */
  readonly deadlineMs: number;
}

export interface Batch<J extends LaneJob> {
  readonly block: FeatureBlock;
  /** The first `count` are of this batch; the array keeps its length, because V8 lets go of the memory of one that is emptied. */
  readonly jobs: J[];
  count: number;
  rows: number;
}

/** A batch that waits for others runs this long before the first deadline in it, so that its answers still arrive. */
const DEADLINE_MARGIN_MS = 2;

/** How far one run moves the expected time of a row: a pause of the machine is forgotten after some ten runs. */
const NEWEST_RUN_WEIGHT = 1 / 8;

/**
 * Collects the rows of all requests for one version until the tick ends (or the batch is full), so that one native run
 * answers them all. Bounded: a batch never exceeds `rowsMax` rows, because a run blocks the event loop (128 rows of 300
 * trees take about 1 ms).
 */
export class BatchLane<J extends LaneJob> {
  #open: Batch<J>;
  #spare: Batch<J> | undefined;
  #dueAtMs = Infinity;
  #rowMs = 0;
  /** Batches that were taken and have not come back. */
  running = 0;

  constructor(
    private readonly plan: InputPlan,
    readonly rowsMax: number,
    /** How long rows may wait for others, ms; 0 = until the end of their turn. */
    readonly delayMs = 0,
  ) {
    this.#open = this.#newBatch();
  }

  get waitingRows(): number {
    return this.#open.rows;
  }

  get waitingJobs(): number {
    return this.#open.count;
  }

  /** How long a run of what waits will take, by the runs of late; 0 before the first. */
  get expectedMs(): number {
    return this.#open.rows * this.#rowMs;
  }

  /** A batch of so many rows took so long. */
  ran(rows: number, ms: number): void {
    this.#rowMs += (ms / rows - this.#rowMs) * NEWEST_RUN_WEIGHT;
  }

  hasRoom(rows: number): boolean {
    return this.#open.rows + rows <= this.rowsMax;
  }

  /** The block that is being filled; rows from `waitingRows` on are free to write before `add`. */
  get block(): FeatureBlock {
    return this.#open.block;
  }

  /** When the batch must run, ms since the epoch: after the delay, and in good time before the first deadline. */
  get dueAtMs(): number {
    return this.#dueAtMs;
  }

  get isFull(): boolean {
    return this.#open.rows === this.rowsMax;
  }

  /** Takes the rows just written at `waitingRows`. The caller has asked `hasRoom`. @param nowMs only looked at where there is a delay. */
  add(job: J, nowMs: number): void {
    if (this.delayMs > 0) this.#dueAtMs = Math.min(this.#dueAtMs, nowMs + this.delayMs, job.deadlineMs - DEADLINE_MARGIN_MS);
    job.firstRow = this.#open.rows;
    this.#open.rows += job.rows;
    this.#open.jobs[this.#open.count++] = job;
  }

  /** Takes the jobs out that are not to run any more; the rows of the others close up. */
  sift(isOver: (job: J, nowMs: number) => boolean, nowMs: number): void {
    const { jobs, count, block } = this.#open;
    let rows = 0;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const job = jobs[i]!;
      if (isOver(job, nowMs)) continue;
      if (job.firstRow !== rows) block.copyFrom(block, job.firstRow, rows, job.rows);
      job.firstRow = rows;
      rows += job.rows;
      jobs[kept++] = job;
    }
    this.#open.count = kept;
    this.#open.rows = rows;
  }

  /** Hands the batch over and opens the next, so that a run that has not ended yet never shares memory with new rows. */
  take(): Batch<J> {
    this.running++;
    const batch = this.#open;
    this.#open = this.#spare ?? this.#newBatch();
    this.#spare = undefined;
    this.#dueAtMs = Infinity;
    return batch;
  }

  /** Gives a finished batch back for reuse. */
  recycle(batch: Batch<J>): void {
    this.running--;
    batch.count = batch.rows = 0;
    this.#spare = batch;
  }

  #newBatch(): Batch<J> {
    return { block: new FeatureBlock(this.plan, this.rowsMax), jobs: [], count: 0, rows: 0 };
  }
}
