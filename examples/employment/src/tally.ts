/** Confusion counts of one attribute's groups, kept by the caller: an oracle that shares no code with the monitor. */
export class Tally {
  readonly #groups = new Map<string, { n: number; right: number; positives: number; found: number; selected: number }>();

  add(group: string, predicted: number, actual: number): void {
    let counts = this.#groups.get(group);
    if (!counts) this.#groups.set(group, (counts = { n: 0, right: 0, positives: 0, found: 0, selected: 0 }));
    counts.n++;
    if (predicted === actual) counts.right++;
    if (predicted === 1) counts.selected++;
    if (actual === 1) counts.positives++;
    if (actual === 1 && predicted === 1) counts.found++;
  }

  get accuracy(): number {
    const all = [...this.#groups.values()];
    return sum(all.map((g) => g.right)) / sum(all.map((g) => g.n));
  }

  /** Share of those who work that the model finds, by group. */
  truePositiveRates(): Record<string, number> {
    return Object.fromEntries([...this.#groups].map(([group, { found, positives }]) => [group, found / positives]));
  }

  /** Equal-opportunity difference: largest gap between the true-positive rates (Hardt, Price, Srebro 2016). */
  get equalOpportunityDifference(): number {
    const rates = Object.values(this.truePositiveRates());
    return Math.max(...rates) - Math.min(...rates);
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
