import type { ByteReader } from './bytes.js';
import { measuresOf, type EventRow, type Measure, type WindowValue } from './measure.js';
import { windowStart, type WindowPlan } from './window-plan.js';

/**
 * All windows of a view at one moment, in one pass from the newest row or tile to the oldest: what a short window holds is the beginning
 * of what the next longer one holds. Reused from read to read.
 */
export class WindowFold {
  readonly values: WindowValue[];
  /** Rows of the longest window; 0 = every value is null, whatever lies further back. */
  rows = 0;
  /** Newest event time at or before the moment; NaN when there is none in the longest window. */
  newestMs = Number.NaN;
  readonly #measures: readonly Measure[];
  readonly #starts: number[];
  readonly #byWindow: readonly (readonly number[])[];
  #open = 0;
  #atMs = 0;

  constructor(readonly plan: WindowPlan) {
    this.values = plan.features.map(() => null);
    this.#measures = measuresOf(plan);
    this.#starts = plan.windows.map(() => 0);
    this.#byWindow = plan.windows.map((_, window) => plan.features.flatMap((f, i) => (f.window === window ? [i] : [])));
  }

  begin(atMs: number): void {
    const { windows } = this.plan;
    for (let i = 0; i < windows.length; i++) this.#starts[i] = windowStart(windows[i]!, atMs);
    for (const measure of this.#measures) measure.reset();
    this.#atMs = atMs;
    this.#open = 0;
    this.rows = 0;
    this.newestMs = Number.NaN;
  }

  /** Nothing older can matter. */
  get isFull(): boolean {
    return this.#open === this.#starts.length;
  }

  row(row: EventRow): void {
    if (row.timeMs > this.#atMs) return;
    this.#closeAfter(row.timeMs);
    if (this.isFull) return;
    this.#count(1, row.timeMs);
    for (const measure of this.#measures) measure.add(row);
  }

  /** @returns false when an edge of a window, or the moment itself, cuts the tile: it is too coarse for this moment. */
  tile(rows: number, oldestMs: number, newestMs: number, bytes: ByteReader): boolean {
    if (newestMs > this.#atMs) return oldestMs > this.#atMs;
    this.#closeAfter(newestMs);
    if (this.isFull) return true;
    if (this.#starts[this.#open]! > oldestMs) return false;
    this.#count(rows, newestMs);
    for (const measure of this.#measures) measure.mergeFrom(bytes);
    return true;
  }

  end(): void {
    this.#closeAfter(-Infinity);
    if (this.rows === 0) this.values.fill(null);
  }

  #count(rows: number, newestMs: number): void {
    if (this.rows === 0) this.newestMs = newestMs;
    this.rows += rows;
  }

  /** Windows that begin after `ms` have all their rows. */
  #closeAfter(ms: number): void {
    while (!this.isFull && this.#starts[this.#open]! > ms) {
      for (const i of this.#byWindow[this.#open]!) {
        const feature = this.plan.features[i]!;
        this.values[i] = this.#measures[feature.measure]!.valueOf(feature);
      }
      this.#open++;
    }
  }
}
