import { assert } from '@headrace/base/assert';
import { AppError } from '@headrace/base/errors';
import type { ColumnProfile } from './profile.js';

/**
 * Counters of one column over one window, on the fixed cells of its reference profile: bounded memory (at most 128 numeric cells,
 * or the categories and one for unseen ones), mergeable in any order, so that panes, partitions and replicas add up.
 * Counts, min, max and unseen names are exactly those of one pass; the two sums equal it to rounding (1e-12 relative).
 */
export class ColumnSketch {
  readonly layout: SketchLayout;
  /** Aligned with `referenceCounts(profile)`; the last cell of a categorical column counts unseen categories. */
  readonly counts: Float64Array;
  /** null, undefined and NaN. Not in `counts`. */
  nulls = 0;
  /** Values of a wrong type and infinities. Not in `counts`. */
  invalid = 0;
  min = Infinity;
  max = -Infinity;
  /** At most 8 unseen category names (first 64 characters), the smallest in code-unit order, for the person who reads the alert. */
  unseen: readonly string[] = [];
  /** Sum of (x - shift) and of its square; the shift is the reference mean, without it a timestamp column loses all digits. */
  private sum = 0;
  private sumSquares = 0;

  constructor(layout: SketchLayout) {
    this.layout = layout;
    this.counts = new Float64Array(layout.cells);
  }

  /** Values in cells: neither null nor invalid. */
  get count(): number {
    let total = 0;
    for (const n of this.counts) total += n;
    return total;
  }

  /** Mean of the counted values; NaN when there are none or the column is categorical. */
  get mean(): number {
    return this.layout.kind === 'numeric' ? this.layout.shift + this.sum / this.count : NaN;
  }

  /** Population standard deviation (ddof 0). */
  get std(): number {
    if (this.layout.kind !== 'numeric') return NaN;
    const n = this.count;
    return Math.sqrt(Math.max(0, this.sumSquares / n - (this.sum / n) ** 2));
  }

  add(value: unknown): void {
    if (value === null || value === undefined || Number.isNaN(value)) this.nulls++;
    else if (this.layout.kind === 'numeric')
      this.addNumber(typeof value === 'boolean' || typeof value === 'bigint' ? Number(value) : value);
    else this.addCategory(value);
  }

  /** Many values of a numeric column; NaN counts as null. Allocates nothing. */
  addAll(values: Float64Array | Float32Array): void {
    assert(this.layout.kind === 'numeric', `column ${this.layout.name} is categorical, addAll takes numbers`);
    const { edges, shift } = this.layout;
    const counts = this.counts;
    let { min, max, sum, sumSquares } = this;
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (value - value !== 0) {
        if (Number.isNaN(value)) this.nulls++;
        else this.invalid++;
        continue;
      }
      counts[cellOf(edges, value)]!++;
      if (value < min) min = value;
      if (value > max) max = value;
      const d = value - shift;
      sum += d;
      sumSquares += d * d;
    }
    this.min = min;
    this.max = max;
    this.sum = sum;
    this.sumSquares = sumSquares;
  }

  /** Adds the other window into this one. Both must come from the same reference profile. */
  merge(other: ColumnSketch): this {
    assert(
      other.layout.fingerprint === this.layout.fingerprint,
      `sketches of ${this.layout.name} and ${other.layout.name} have the same cells`,
    );
    for (let i = 0; i < this.counts.length; i++) this.counts[i]! += other.counts[i]!;
    this.nulls += other.nulls;
    this.invalid += other.invalid;
    this.min = Math.min(this.min, other.min);
    this.max = Math.max(this.max, other.max);
    this.sum += other.sum;
    this.sumSquares += other.sumSquares;
    for (const name of other.unseen) this.rememberUnseen(name);
    return this;
  }

  /** Compact: only filled cells, as [cell, count, cell, count, ...]. */
  toJSON(): SketchJson {
    const cells: number[] = [];
    this.counts.forEach((n, cell) => n > 0 && cells.push(cell, n));
    const json: SketchJson = { f: this.layout.fingerprint, c: cells };
    if (this.nulls > 0) json.n = this.nulls;
    if (this.invalid > 0) json.i = this.invalid;
    if (this.max >= this.min) json.m = [this.min, this.max, this.sum, this.sumSquares];
    if (this.unseen.length > 0) json.u = this.unseen;
    return json;
  }

  /** Refuses (`REQUEST_INVALID`) what was not written by `toJSON` of a sketch of the same profile. */
  static fromJSON(layout: SketchLayout, raw: unknown): ColumnSketch {
    const json = raw as Partial<SketchJson> | null;
    if (json?.f !== layout.fingerprint)
      throw new AppError(
        'REQUEST_INVALID',
        `Stored window of column ${layout.name} belongs to another reference profile (${json?.f}, expected ${layout.fingerprint}).`,
        { details: { column: layout.name } },
      );
    const sketch = new ColumnSketch(layout);
    const cells = json.c ?? [];
    for (let i = 0; i + 1 < cells.length; i += 2) {
      const cell = cells[i]!;
      if (!(cell >= 0 && cell < layout.cells))
        throw new AppError('REQUEST_INVALID', `Stored window of column ${layout.name} names cell ${cell} of ${layout.cells}.`);
      sketch.counts[cell] = cells[i + 1]!;
    }
    sketch.nulls = json.n ?? 0;
    sketch.invalid = json.i ?? 0;
    if (json.m) [sketch.min, sketch.max, sketch.sum, sketch.sumSquares] = json.m;
    sketch.unseen = json.u ?? [];
    return sketch;
  }

  private addNumber(value: unknown): void {
    if (typeof value !== 'number' || !Number.isFinite(value) || this.layout.kind !== 'numeric') {
      this.invalid++;
      return;
    }
    this.counts[cellOf(this.layout.edges, value)]!++;
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;
    const d = value - this.layout.shift;
    this.sum += d;
    this.sumSquares += d * d;
  }

  private addCategory(value: unknown): void {
    if (this.layout.kind !== 'categorical' || typeof value === 'object' || typeof value === 'function' || typeof value === 'symbol') {
      this.invalid++;
      return;
    }
    const name = String(value as string | number | boolean | bigint | undefined);
    const cell = this.layout.cellOfCategory.get(name);
    if (cell !== undefined) {
      this.counts[cell]!++;
      return;
    }
    this.counts[this.layout.cells - 1]!++;
    this.rememberUnseen(name.slice(0, UNSEEN_NAME_CHARS_MAX));
  }

  private rememberUnseen(name: string): void {
    if (this.unseen.includes(name)) return;
    if (this.unseen.length === UNSEEN_NAMES_MAX && name > this.unseen.at(-1)!) return;
    this.unseen = [...this.unseen, name].sort(byCodeUnit).slice(0, UNSEEN_NAMES_MAX);
  }
}

/** What `toJSON` writes. f: fingerprint of the layout, c: filled cells, n: nulls, i: invalid, m: min, max, sum, sum of squares, u: unseen names. */
export interface SketchJson {
  f: string;
  c: number[];
  n?: number;
  i?: number;
  m?: [number, number, number, number];
  u?: readonly string[];
}

/** The fixed cells of a column, made once for each reference profile and shared by all its windows. */
export type SketchLayout =
  | {
      readonly kind: 'numeric';
      readonly name: string;
      readonly cells: number;
      readonly fingerprint: string;
      readonly edges: Float64Array;
      readonly shift: number;
    }
  | {
      readonly kind: 'categorical';
      readonly name: string;
      readonly cells: number;
      readonly fingerprint: string;
      readonly cellOfCategory: ReadonlyMap<string, number>;
    };

export function sketchLayout(profile: ColumnProfile): SketchLayout {
  const { name } = profile;
  if (profile.kind === 'numeric') {
    const shift = Number.isFinite(profile.mean) ? profile.mean : 0;
    const fingerprint = fingerprintOf(['numeric', name, shift, ...profile.edges]);
    return { kind: 'numeric', name, cells: profile.edges.length + 1, fingerprint, edges: Float64Array.from(profile.edges), shift };
  }
  const cellOfCategory = new Map(profile.categories.map((category, cell) => [category, cell]));
  return {
    kind: 'categorical',
    name,
    cells: profile.categories.length + 1,
    fingerprint: fingerprintOf(['categorical', name, ...profile.categories]),
    cellOfCategory,
  };
}

/** The reference counts on the cells of a sketch: as in the profile, and a zero for the unseen categories. */
export function referenceCounts(profile: ColumnProfile): Float64Array {
  return Float64Array.from(profile.kind === 'numeric' ? profile.counts : [...profile.counts, 0]);
}

/** The cell i with edges[i-1] < value <= edges[i], by binary search: at most 7 steps for 127 edges. Equals numpy.searchsorted, side 'left'. */
export function cellOf(edges: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (edges[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

const UNSEEN_NAMES_MAX = 8;
const UNSEEN_NAME_CHARS_MAX = 64;

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** FNV-1a, 64 bits in two halves over the JSON text: tells profiles apart, guards against nothing hostile. */
function fingerprintOf(parts: readonly (string | number)[]): string {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (const byte of new TextEncoder().encode(JSON.stringify(parts))) {
    low = (low ^ byte) >>> 0;
    // Multiply by 0x100000001b3 = 2^40 + 0x1b3.
    const product = low * 0x1b3;
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 4_294_967_296) + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}
