import type { ErrorCode } from '@headrace/base/errors';
import type { PredictReplies } from './predict-job.js';
import type { ShadowStatistics } from './shadow-statistics.js';

type Side = 'primary' | 'shadow';

/**
 * One request that two versions answer: the caller's, and the shadow, whose answer is dropped. When both are there they are
 * compared, whichever came first. It stands where a transport stands for the shadow, so that nothing of it reaches a caller.
 */
export class ShadowPair implements PredictReplies {
  #first: { readonly side: Side; readonly scores: Float32Array; readonly threshold: number; readonly seconds: number } | undefined;
  #isOver = false;

  constructor(
    private readonly statistics: ShadowStatistics,
    /** Of the request: its call is gone when the shadow's row is logged. */
    private readonly traceparent: string,
  ) {}

  /** The scores are copied before the return. */
  scored(side: Side, scores: Float32Array, firstScore: number, rows: number, threshold: number, seconds: number): void {
    if (this.#isOver) return;
    const now = { side, scores: scores.slice(firstScore, firstScore + rows), threshold, seconds };
    if (!this.#first) {
      this.#first = now;
      return;
    }
    this.#isOver = true;
    const [primary, shadow] = side === 'shadow' ? [this.#first, now] : [now, this.#first];
    this.statistics.compared(primary, shadow);
  }

  /** A request that only one of the two answered is not compared. */
  failed(side: Side, code: ErrorCode): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (side === 'shadow') this.statistics.failed(code);
    else this.statistics.skipped++;
  }

  /** There was no room for the copy. */
  skip(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.statistics.skipped++;
  }

  ok(): void {}
  fail(): void {}
  flush(): void {}

  isGone(): boolean {
    return this.#isOver;
  }

  headerOf(_: number, name: string): string {
    return name === 'traceparent' ? this.traceparent : '';
  }
}
