/**
 * How much work may be inside at once. Past the bound a request is refused at once (OVERLOADED): a queue that only grows
 * would answer everyone late. Rows are bounded beside requests, because they are what memory and time go to.
 */
export class Admission {
  requests = 0;
  rows = 0;
  refused = 0;

  constructor(
    readonly requestsMax: number,
    readonly rowsMax: number,
  ) {}

  /**
   * A request larger than `rowsMax` is let in when nothing else is inside, so that the bound never makes it impossible.
   * @param share of the bounds that this kind of work may fill.
   */
  tryEnter(rows: number, share = 1): boolean {
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
  }
}
