import { QuantileSketch, type QuantileSketchJson } from '@headrace/stats/quantile-sketch';
import type { ByteReader, ByteWriter } from './bytes.js';
import { DistinctSketch } from './distinct-sketch.js';
import { ExactMoments } from './exact-moments.js';
import type { MeasureSpec, PlannedFeature, WindowPlan } from './window-plan.js';

export type ColumnValue = number | string | boolean | null;
/** A feature: null = unknown, such as the mean of no values. */
export type WindowValue = ColumnValue | readonly number[];

/** A row of the view as windows see it. Rows of equal time are ordered by `tie`, the hash of their content. */
export interface EventRow {
  readonly timeMs: number;
  readonly tie: number;
  /** In the order of the plan's columns. */
  readonly values: readonly ColumnValue[];
}

/**
 * What is kept of some rows: mergeable, and the same whatever the order and grouping in which rows and tiles come in. Its bytes are a
 * function of the rows alone.
 */
export interface Measure {
  reset(): void;
  add(row: EventRow): void;
  mergeFrom(bytes: ByteReader): void;
  write(out: ByteWriter): void;
  valueOf(feature: PlannedFeature): WindowValue;
}

export function measuresOf({ measures }: WindowPlan): Measure[] {
  return measures.map((spec) => MAKERS[spec.kind](spec));
}

const MAKERS: Readonly<Record<MeasureSpec['kind'], (spec: MeasureSpec) => Measure>> = {
  count: ({ column }) => new Count(column),
  moments: ({ column }) => new Moments(column),
  least: ({ column }) => new Extreme(column, -1),
  greatest: ({ column }) => new Extreme(column, 1),
  newest: ({ column, k }) => new Newest(column, k),
  distinct: ({ column }) => new Distinct(column),
  quantiles: ({ column }) => new Quantiles(column),
};

/** Rows, or values that are not null. */
class Count implements Measure {
  #count = 0;
  constructor(private readonly column: number) {}

  reset(): void {
    this.#count = 0;
  }
  add({ values }: EventRow): void {
    if (this.column < 0 || values[this.column] !== null) this.#count++;
  }
  mergeFrom(bytes: ByteReader): void {
    this.#count += bytes.count();
  }
  write(out: ByteWriter): void {
    out.count(this.#count);
  }
  valueOf(): number {
    return this.#count;
  }
}

/** Sum, mean and population standard deviation. */
class Moments implements Measure {
  readonly #moments = new ExactMoments();
  constructor(private readonly column: number) {}

  reset(): void {
    this.#moments.reset();
  }
  add({ values }: EventRow): void {
    const value = values[this.column];
    if (typeof value === 'number') this.#moments.add(value);
  }
  mergeFrom(bytes: ByteReader): void {
    this.#moments.mergeFrom(bytes);
  }
  write(out: ByteWriter): void {
    this.#moments.write(out);
  }
  valueOf({ function: of }: PlannedFeature): number | null {
    if (of === 'sum') return this.#moments.sum();
    return of === 'mean' ? this.#moments.mean() : this.#moments.deviation();
  }
}

class Extreme implements Measure {
  #value: number | undefined;
  constructor(
    private readonly column: number,
    private readonly sign: 1 | -1,
  ) {}

  reset(): void {
    this.#value = undefined;
  }
  add({ values }: EventRow): void {
    const value = values[this.column];
    if (typeof value === 'number') this.#take(value);
  }
  mergeFrom(bytes: ByteReader): void {
    if (bytes.u8() === 1) this.#take(bytes.f64());
  }
  write(out: ByteWriter): void {
    out.u8(this.#value === undefined ? 0 : 1);
    if (this.#value !== undefined) out.f64(this.#value);
  }
  valueOf(): number | null {
    return this.#value ?? null;
  }

  #take(value: number): void {
    if (this.#value === undefined || (value - this.#value) * this.sign > 0) this.#value = value;
  }
}

/** The newest k values that are not null, by event time, then by the hash of the row's content. */
class Newest implements Measure {
  readonly #newest: { timeMs: number; tie: number; value: Exclude<ColumnValue, null> }[] = [];
  constructor(
    private readonly column: number,
    private readonly k: number,
  ) {}

  reset(): void {
    this.#newest.length = 0;
  }
  add({ timeMs, tie, values }: EventRow): void {
    const value = values[this.column];
    if (value !== null && value !== undefined) this.#take(timeMs, tie, value);
  }
  mergeFrom(bytes: ByteReader): void {
    for (let n = bytes.count(); n > 0; n--) {
      const [timeMs, tie] = [bytes.f64(), bytes.f64()];
      this.#take(timeMs, tie, readValue(bytes) as Exclude<ColumnValue, null>);
    }
  }
  write(out: ByteWriter): void {
    out.count(this.#newest.length);
    for (const { timeMs, tie, value } of this.#newest) {
      out.f64(timeMs);
      out.f64(tie);
      writeValue(out, value);
    }
  }
  valueOf({ function: of, k = 1 }: PlannedFeature): WindowValue {
    if (of === 'last') return this.#newest[0]?.value ?? null;
    return this.#newest.length < k ? null : this.#newest.slice(0, k).map(({ value }) => Math.fround(Number(value)));
  }

  #take(timeMs: number, tie: number, value: Exclude<ColumnValue, null>): void {
    const list = this.#newest;
    let at = list.length;
    while (at > 0 && (list[at - 1]!.timeMs < timeMs || (list[at - 1]!.timeMs === timeMs && list[at - 1]!.tie < tie))) at--;
    if (at >= this.k) return;
    list.splice(at, 0, { timeMs, tie, value });
    if (list.length > this.k) list.pop();
  }
}

class Distinct implements Measure {
  readonly #sketch = new DistinctSketch();
  constructor(private readonly column: number) {}

  reset(): void {
    this.#sketch.reset();
  }
  add({ values }: EventRow): void {
    const value = values[this.column];
    if (value !== null && value !== undefined) this.#sketch.add(value);
  }
  mergeFrom(bytes: ByteReader): void {
    this.#sketch.mergeFrom(bytes);
  }
  write(out: ByteWriter): void {
    this.#sketch.write(out);
  }
  valueOf(): number {
    return this.#sketch.estimate();
  }
}

/** Of the value itself: see libs/stats. */
const RELATIVE_ERROR = 0.01;
const BUCKETS_MAX = 2048;

class Quantiles implements Measure {
  #sketch = new QuantileSketch(RELATIVE_ERROR, BUCKETS_MAX);
  constructor(private readonly column: number) {}

  reset(): void {
    if (this.#sketch.count > 0) this.#sketch = new QuantileSketch(RELATIVE_ERROR, BUCKETS_MAX);
  }
  add({ values }: EventRow): void {
    const value = values[this.column];
    if (typeof value === 'number') this.#sketch.add(value);
  }
  mergeFrom(bytes: ByteReader): void {
    const z = bytes.count();
    const c = bytes.u8() === 1;
    const json: QuantileSketchJson = { e: RELATIVE_ERROR, b: BUCKETS_MAX, z, p: readBuckets(bytes), n: readBuckets(bytes), c };
    this.#sketch.merge(QuantileSketch.fromJSON(json));
  }
  write(out: ByteWriter): void {
    const { z, p, n, c } = this.#sketch.toJSON();
    out.count(z);
    out.u8(c ? 1 : 0);
    writeBuckets(out, p);
    writeBuckets(out, n);
  }
  valueOf({ percentile = 50 }: PlannedFeature): number | null {
    return this.#sketch.count === 0 ? null : this.#sketch.quantile(percentile / 100);
  }
}

/** [bucket, count, ...] with rising buckets. */
function writeBuckets(out: ByteWriter, entries: readonly number[]): void {
  out.count(entries.length / 2);
  let last = 0;
  for (let i = 0; i < entries.length; i += 2) {
    out.integer(entries[i]! - last);
    out.count(entries[i + 1]!);
    last = entries[i]!;
  }
}

function readBuckets(bytes: ByteReader): number[] {
  const entries: number[] = [];
  let bucket = 0;
  for (let n = bytes.count(); n > 0; n--) {
    bucket += bytes.integer();
    entries.push(bucket, bytes.count());
  }
  return entries;
}

export function writeValue(out: ByteWriter, value: ColumnValue): void {
  if (value === null) out.u8(0);
  else if (typeof value === 'boolean') out.u8(value ? 2 : 1);
  else if (typeof value === 'number') {
    out.u8(3);
    out.f64(value);
  } else {
    out.u8(4);
    out.text(value);
  }
}

export function readValue(bytes: ByteReader): ColumnValue {
  const kind = bytes.u8();
  if (kind === 0) return null;
  if (kind <= 2) return kind === 2;
  if (kind === 3) return bytes.f64();
  if (kind === 4) return bytes.text();
  throw new RangeError(`no value begins with ${kind}`);
}
