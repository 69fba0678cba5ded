/** Kinds of work, the first to be refused first. `shadow` = copies of requests whose callers have another answer. */
export type Priority = 'shadow' | 'low' | 'normal' | 'high';

/** What share of the bounds each kind may fill, all work counted: so the lower kinds leave room for the higher ones. */
export const ADMISSION_SHARES: Readonly<Record<Priority, number>> = { shadow: 0.25, low: 0.5, normal: 1, high: 1.25 };

/**
 * How much work may be inside at once. Past the bound a request is refused at once (OVERLOADED): a queue that only grows
 * would answer everyone late. Rows are bounded beside requests, because they are what memory and time go to.
 */
export class Admission {
  requests = 0;
  rows = 0;
  refused = 0;
  #onIdle: (() => void)[] = [];

  constructor(
    readonly requestsMax: number,
    readonly rowsMax: number,
  ) {}

  /** A request larger than the bound of rows is let in when nothing else is inside, so that the bound never makes it impossible. */
  tryEnter(rows: number, priority: Priority = 'normal'): boolean {
    const share = ADMISSION_SHARES[priority];
    const isFull = this.requests >= this.requestsMax * share || (this.requests > 0 && this.rows + rows > this.rowsMax * share);
    if (isFull) {
      this.refused++;
      return false;
    }
    this.requests++;
    this.rows += rows;
    return true;
  }

  leave(rows: number): void {
    this.requests--;
    this.rows -= rows;
    if (this.requests === 0) for (const callback of this.#onIdle.splice(0)) callback();
  }

  /** Calls back once, when nothing is inside. */
  whenIdle(callback: () => void): void {
    if (this.requests === 0) callback();
    else this.#onIdle.push(callback);
  }
}
