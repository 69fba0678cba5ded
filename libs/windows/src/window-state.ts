import { assert } from '@headrace/base/assert';
import { ByteReader, ByteWriter } from './bytes.js';
import { measuresOf, type EventRow, type Measure } from './measure.js';
import type { WindowFold } from './window-fold.js';
import { WindowLayout, type Range } from './window-layout.js';
import type { WindowPlan } from './window-plan.js';

/** Rows of one stretch of time, summed up. */
export interface Tile {
  readonly rows: number;
  /** Event times of its oldest and newest row. */
  readonly oldestMs: number;
  readonly newestMs: number;
  /** What the plan's measures wrote, one behind the other. */
  readonly bytes: Buffer;
}

/**
 * The rows of one entity, as far as windows can see them: tiles before the horizon, single rows from it on. A function of the rows and the
 * horizon alone, so it does not matter in which order, how often or in how many steps they came. The same class
 * keeps the online blob and walks through history for training sets.
 */
export class WindowState {
  /** Oldest first. */
  readonly tiles: Tile[];
  /** Oldest first; of equal time by tie. */
  readonly rows: EventRow[];
  #layout: WindowLayout;
  readonly #summer: Summer;

  constructor(
    readonly plan: WindowPlan,
    horizonMs: number,
    tiles: readonly Tile[] = [],
    rows: readonly EventRow[] = [],
  ) {
    this.#layout = new WindowLayout(plan, horizonMs);
    this.tiles = [...tiles];
    this.rows = [...rows];
    this.#summer = summerOf(plan);
  }

  get horizonMs(): number {
    return this.#layout.horizonMs;
  }

  get isEmpty(): boolean {
    return this.tiles.length === 0 && this.rows.length === 0;
  }

  /** NaN when empty. */
  get newestMs(): number {
    return this.rows.at(-1)?.timeMs ?? this.tiles.at(-1)?.newestMs ?? Number.NaN;
  }

  /** Rows from `horizonMs` on, in ascending order and not before the last one: for walking through history. */
  append(row: EventRow): void {
    assert(row.timeMs >= this.horizonMs, 'a row is appended behind the horizon');
    this.rows.push(row);
  }

  /** Moves the horizon on: rows behind it become tiles, tiles grow coarser with age, what no window sees is dropped. Never back. */
  advance(horizonMs: number): void {
    if (horizonMs <= this.horizonMs) return;
    const layout = new WindowLayout(this.plan, horizonMs);
    const pieces: (Tile | EventRow)[] = this.tiles.splice(0);
    let behind = 0;
    while (behind < this.rows.length && this.rows[behind]!.timeMs < horizonMs) behind++;
    pieces.push(...this.rows.splice(0, behind));
    for (let from = 0; from < pieces.length;) {
      const range = layout.rangeOf(oldestOf(pieces[from]!));
      let to = from + 1;
      if (range) while (to < pieces.length && oldestOf(pieces[to]!) < range.toMs) to++;
      if (range) this.tiles.push(this.#summer.sum(pieces.slice(from, to)));
      from = to;
    }
    this.#layout = layout;
  }

  /** The stretches that must be made anew when rows of these times came, late or not: ascending, each once. */
  rangesOf(timesMs: readonly number[]): Range[] {
    const ranges = new Map<number, Range>();
    for (const timeMs of timesMs) {
      const range = this.#layout.rangeOf(timeMs);
      if (range) ranges.set(range.fromMs, range);
    }
    return [...ranges.values()].sort((a, b) => a.fromMs - b.fromMs);
  }

  /** Everything that windows can see. */
  get wholeRange(): Range {
    return { fromMs: this.#layout.oldestMs, toMs: Infinity };
  }

  /** Puts all rows of a stretch in the place of what stood there. @param rows ascending by time, then tie. */
  replace({ fromMs, toMs }: Range, rows: readonly EventRow[]): void {
    if (fromMs >= this.horizonMs) {
      this.rows.length = 0;
      this.rows.push(...rows);
      return;
    }
    let at = 0;
    while (at < this.tiles.length && this.tiles[at]!.oldestMs < fromMs) at++;
    let end = at;
    while (end < this.tiles.length && this.tiles[end]!.oldestMs < toMs) end++;
    const tile = rows.length > 0 ? [this.#summer.sum(rows)] : [];
    this.tiles.splice(at, end - at, ...tile);
  }

  /** Everything, made anew from all rows that windows can see. @param rows ascending by time, then tie. */
  fill(rows: readonly EventRow[]): void {
    this.tiles.length = 0;
    this.rows.length = 0;
    for (let from = 0; from < rows.length;) {
      const range = this.#layout.rangeOf(rows[from]!.timeMs);
      let to = from + 1;
      if (range) while (to < rows.length && rows[to]!.timeMs < range.toMs) to++;
      if (range && range.fromMs >= this.horizonMs) this.rows.push(...rows.slice(from, to));
      else if (range) this.tiles.push(this.#summer.sum(rows.slice(from, to)));
      from = to;
    }
  }

  /** All windows as of a moment at or after the horizon, into the fold's `values`. */
  read(fold: WindowFold, atMs: number): void {
    assert(atMs >= this.horizonMs, 'windows are read at or after the horizon');
    fold.begin(atMs);
    for (let i = this.rows.length - 1; i >= 0 && !fold.isFull; i--) fold.row(this.rows[i]!);
    for (let i = this.tiles.length - 1; i >= 0 && !fold.isFull; i--) {
      const { rows, oldestMs, newestMs, bytes } = this.tiles[i]!;
      assert(fold.tile(rows, oldestMs, newestMs, reader.over(bytes)), 'no window cuts a tile after the horizon');
    }
    fold.end();
  }
}

const reader = new ByteReader();

function oldestOf(piece: Tile | EventRow): number {
  return 'oldestMs' in piece ? piece.oldestMs : piece.timeMs;
}

const summers = new WeakMap<WindowPlan, Summer>();

function summerOf(plan: WindowPlan): Summer {
  let summer = summers.get(plan);
  if (!summer) summers.set(plan, (summer = new Summer(measuresOf(plan))));
  return summer;
}

/** Sums rows and tiles up to one tile, reusing its measures. */
class Summer {
  readonly #out = new ByteWriter();

  constructor(private readonly measures: readonly Measure[]) {}

  /** @param pieces ascending, at least one. */
  sum(pieces: readonly (Tile | EventRow)[]): Tile {
    const [first] = pieces;
    if (pieces.length === 1 && 'bytes' in first!) return first;
    for (const measure of this.measures) measure.reset();
    let rows = 0;
    for (const piece of pieces) {
      if ('bytes' in piece) {
        rows += piece.rows;
        reader.over(piece.bytes);
        for (const measure of this.measures) measure.mergeFrom(reader);
      } else {
        rows++;
        for (const measure of this.measures) measure.add(piece);
      }
    }
    this.#out.clear();
    for (const measure of this.measures) measure.write(this.#out);
    const last = pieces.at(-1)!;
    return {
      rows,
      oldestMs: oldestOf(first!),
      newestMs: 'bytes' in last ? last.newestMs : last.timeMs,
      bytes: this.#out.take(),
    };
  }
}
