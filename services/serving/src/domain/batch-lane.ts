import { FeatureBlock } from '@headrace/executor/feature-block';
import type { InputPlan } from '@headrace/executor/input-plan';

/** What the lane needs to know of a waiting request; `firstRow` is set by the lane. */
export interface LaneJob {
  readonly rows: number;
  firstRow: number;
}

export interface Batch<J extends LaneJob> {
  readonly block: FeatureBlock;
  readonly jobs: J[];
  rows: number;
}

/**
 * Collects the rows of all requests for one version until the tick ends (or the batch is full), so that one native run
 * answers them all. Bounded: a batch never exceeds `rowsMax` rows, because a run blocks the event loop (128 rows of 300
 * trees take about 1 ms).
 */
export class BatchLane<J extends LaneJob> {
  #open: Batch<J>;
  #spare: Batch<J> | undefined;

  constructor(
    private readonly plan: InputPlan,
    readonly rowsMax: number,
  ) {
    this.#open = this.#newBatch();
  }

  get waitingRows(): number {
    return this.#open.rows;
  }

  hasRoom(rows: number): boolean {
    return this.#open.rows + rows <= this.rowsMax;
  }

  /** The block that is being filled; rows from `waitingRows` on are free to write before `add`. */
  get block(): FeatureBlock {
    return this.#open.block;
  }

  /** Takes the rows just written at `waitingRows`. The caller has asked `hasRoom`. */
  add(job: J): void {
    job.firstRow = this.#open.rows;
    this.#open.rows += job.rows;
    this.#open.jobs.push(job);
  }

  /** Hands the batch over and opens the next, so that a run that has not ended yet never shares memory with new rows. */
  take(): Batch<J> {
    const batch = this.#open;
    this.#open = this.#spare ?? this.#newBatch();
    this.#spare = undefined;
    return batch;
  }

  /** Gives a finished batch back for reuse. */
  recycle(batch: Batch<J>): void {
    batch.jobs.length = 0;
    batch.rows = 0;
    this.#spare = batch;
  }

  #newBatch(): Batch<J> {
    return { block: new FeatureBlock(this.plan, this.rowsMax), jobs: [], rows: 0 };
  }
}
