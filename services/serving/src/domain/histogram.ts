/** Counts values by upper bound in memory that never grows; `observe` makes no object, so that each request can pay for it. */
export class Histogram {
  /** One more than the bounds: the last counts what is beyond them. */
  readonly counts: Float64Array;
  count = 0;
  sum = 0;

  /** @param bounds ascending; a value belongs to the first bound that is not below it. */
  constructor(readonly bounds: readonly number[]) {
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** @param times how many had this value. */
  observe(value: number, times = 1): void {
    const { bounds } = this;
    let at = 0;
    while (at < bounds.length && value > bounds[at]!) at++;
    this.counts[at]! += times;
    this.count += times;
    this.sum += value * times;
  }

  get mean(): number {
    return this.count === 0 ? 0 : this.sum / this.count;
  }
}
