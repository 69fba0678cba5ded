import { assert } from '@headrace/base/assert';

/**
 * DDSketch (Masson, Rim, Lee, VLDB 2019): quantiles of any numbers to a relative error, mergeable in any order and bounded.
 * With gamma = (1 + a) / (1 - a), bucket i counts |x| in (gamma^(i-1), gamma^i] and stands for 2 gamma^i / (gamma + 1), which is
 * within a of every value in it. Past `bucketsMax` buckets the smallest magnitudes share one, whose error is then unbounded
 * (`collapsed`); the default covers a ratio of 10^17 between largest and smallest. Equals the `ddsketch` package's quantiles.
 */
export class QuantileSketch {
  readonly relativeError: number;
  readonly bucketsMax: number;
  count = 0;
  private zeros = 0;
  private readonly positives: Buckets;
  private readonly negatives: Buckets;
  private readonly gamma: number;
  private readonly perLog: number;

  constructor(relativeError = 0.01, bucketsMax = 2048) {
    assert(relativeError > 0 && relativeError < 1, `relative error lies between 0 and 1, got ${relativeError}`);
    assert(bucketsMax >= 1, `at least one bucket is needed, got ${bucketsMax}`);
    this.relativeError = relativeError;
    this.bucketsMax = bucketsMax;
    this.gamma = (1 + relativeError) / (1 - relativeError);
    this.perLog = 1 / Math.log(this.gamma);
    this.positives = new Buckets(bucketsMax);
    this.negatives = new Buckets(bucketsMax);
  }

  /** Finite numbers only; magnitudes below 1e-300 count as zero. */
  add(value: number): void {
    assert(Number.isFinite(value), `a quantile sketch takes finite numbers, got ${value}`);
    const magnitude = Math.abs(value);
    if (magnitude < ZERO_BELOW) this.zeros++;
    else (value > 0 ? this.positives : this.negatives).add(Math.ceil(Math.log(magnitude) * this.perLog), 1);
    this.count++;
  }

  /** The value of rank floor(q (count - 1)) in ascending order, within the relative error. NaN when empty. 0 <= q <= 1. */
  quantile(q: number): number {
    assert(q >= 0 && q <= 1, `a quantile lies in [0, 1], got ${q}`);
    if (this.count === 0) return NaN;
    const rank = Math.floor(q * (this.count - 1));
    const below = this.negatives.count;
    if (rank < below) return -this.valueOf(this.negatives.bucketAt(below - 1 - rank));
    if (rank < below + this.zeros) return 0;
    return this.valueOf(this.positives.bucketAt(rank - below - this.zeros));
  }

  /** What is counted where, ascending. Cells of equal sketches have equal edges, so two sketches of one error can be compared cell by cell. */
  cells(): SketchCell[] {
    const edge = (bucket: number): number => this.gamma ** bucket;
    const positive = this.positives.ascendingCounts().map(([b, count]): SketchCell => ({ lower: edge(b - 1), upper: edge(b), count }));
    const negative = this.negatives.ascendingCounts().map(([b, count]): SketchCell => ({ lower: -edge(b), upper: -edge(b - 1), count }));
    const zero = this.zeros > 0 ? [{ lower: 0, upper: 0, count: this.zeros }] : [];
    return [...negative.reverse(), ...zero, ...positive];
  }

  /** Small magnitudes have been joined: quantiles that fall there are too large in magnitude, by no known bound. */
  get collapsed(): boolean {
    return this.positives.collapsed || this.negatives.collapsed;
  }

  /** Both sketches must have the same error and bound. */
  merge(other: QuantileSketch): this {
    assert(
      other.relativeError === this.relativeError && other.bucketsMax === this.bucketsMax,
      'merged quantile sketches have the same error and bound',
    );
    this.positives.merge(other.positives);
    this.negatives.merge(other.negatives);
    this.zeros += other.zeros;
    this.count += other.count;
    return this;
  }

  toJSON(): QuantileSketchJson {
    return {
      e: this.relativeError,
      b: this.bucketsMax,
      z: this.zeros,
      p: this.positives.entries(),
      n: this.negatives.entries(),
      c: this.collapsed,
    };
  }

  static fromJSON(json: QuantileSketchJson): QuantileSketch {
    const sketch = new QuantileSketch(json.e, json.b);
    sketch.zeros = json.z;
    sketch.positives.load(json.p, json.c);
    sketch.negatives.load(json.n, json.c);
    sketch.count = json.z + sketch.positives.count + sketch.negatives.count;
    return sketch;
  }

  private valueOf(bucket: number): number {
    return (2 * this.gamma ** bucket) / (this.gamma + 1);
  }
}

/** Values in (lower, upper], of negative ones in [lower, upper); zeros have a cell of no width. */
export interface SketchCell {
  readonly lower: number;
  readonly upper: number;
  readonly count: number;
}

/** e: relative error, b: bucketsMax, z: zeros, p and n: [bucket, count, ...] ascending, c: collapsed. */
export interface QuantileSketchJson {
  e: number;
  b: number;
  z: number;
  p: number[];
  n: number[];
  c: boolean;
}

const ZERO_BELOW = 1e-300;

/**
 * Counts by bucket, at most `max` neighbouring ones under the highest: lower ones share the lowest. What is kept depends on the
 * highest bucket and the values alone, not on their order, so that merging equals one pass.
 */
class Buckets {
  count = 0;
  collapsed = false;
  private readonly counts = new Map<number, number>();
  private highest = -Infinity;

  constructor(private readonly max: number) {}

  add(bucket: number, n: number): void {
    if (bucket > this.highest) this.raise(bucket);
    const lowest = this.highest - this.max + 1;
    if (bucket < lowest) this.collapsed = true;
    const kept = Math.max(bucket, lowest);
    this.counts.set(kept, (this.counts.get(kept) ?? 0) + n);
    this.count += n;
  }

  merge(other: Buckets): void {
    for (const [bucket, n] of other.counts) this.add(bucket, n);
    this.collapsed ||= other.collapsed;
  }

  /** The bucket of the value with this rank from below. */
  bucketAt(rank: number): number {
    let seen = 0;
    for (const [bucket, n] of this.ascendingCounts()) {
      seen += n;
      if (seen > rank) return bucket;
    }
    return this.highest;
  }

  entries(): number[] {
    return this.ascendingCounts().flat();
  }

  load(entries: readonly number[], collapsed: boolean): void {
    for (let i = 0; i + 1 < entries.length; i += 2) this.add(entries[i]!, entries[i + 1]!);
    this.collapsed = collapsed;
  }

  ascendingCounts(): [number, number][] {
    return [...this.counts].sort(([a], [b]) => a - b);
  }

  private raise(highest: number): void {
    this.highest = highest;
    const lowest = highest - this.max + 1;
    let joined = 0;
    for (const [bucket, n] of this.counts) {
      if (bucket >= lowest) continue;
      joined += n;
      this.counts.delete(bucket);
    }
    if (joined === 0) return;
    this.collapsed = true;
    this.counts.set(lowest, (this.counts.get(lowest) ?? 0) + joined);
  }
}
