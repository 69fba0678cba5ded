import type { AggregatedFeature } from '@headrace/definitions/aggregation';
import type { EventRow, WindowValue } from '@headrace/windows/measure';
import { WindowFold } from '@headrace/windows/window-fold';
import { windowStart, type WindowSpan } from '@headrace/windows/window-plan';
import { isExpired } from './freshness.js';
import type { FieldStatus } from './online-vector.js';
import type { View } from './view.js';
import { WindowWalk } from './window-walk.js';

export interface WindowTile {
  readonly fromMs: number;
  readonly toMs: number;
  readonly rows: number;
}

/** What a window held at one moment. */
export interface WindowOrigin {
  readonly feature: AggregatedFeature;
  readonly hopMs: number;
  /** Event times from (included) to (included). */
  readonly fromMs: number;
  readonly toMs: number;
  readonly rows: number;
  /** The window in hops, those without rows left out; the newest first. */
  readonly tiles: readonly WindowTile[];
}

/** A window of thousands of hops is told by its newest ones. */
const TILES_MAX = 256;

/** Follows one window through the rows of one entity, up to one moment. The value is made by the code that serves and joins. */
export class WindowTrace {
  /** The rows that can matter begin here: with the longest window of the view, without whose rows nothing is found. */
  readonly readFromMs: number;
  readonly #fold: WindowFold;
  readonly #walk: WindowWalk;
  readonly #index: number;
  readonly #span: WindowSpan;
  readonly #fromMs: number;
  readonly #tiles = new Map<number, number>();
  #rows = 0;
  #isFound = false;

  constructor(
    private readonly view: View,
    feature: string,
    private readonly atMs: number,
  ) {
    const plan = view.windows!;
    this.#index = plan.indexOf.get(feature)!;
    this.#span = plan.windows[plan.features[this.#index]!.window]!;
    this.#fromMs = windowStart(this.#span, atMs);
    this.readFromMs = windowStart(plan.windows.at(-1)!, atMs);
    this.#fold = new WindowFold(plan);
    this.#walk = new WindowWalk(this.#fold, [atMs], () => void (this.#isFound = true));
  }

  /** Ascending by time and tie. */
  take(row: EventRow): void {
    this.#walk.take(row);
    if (row.timeMs < this.#fromMs) return;
    this.#rows++;
    const tile = Math.floor(row.timeMs / this.#span.hopMs);
    this.#tiles.set(tile, (this.#tiles.get(tile) ?? 0) + 1);
    if (this.#tiles.size > TILES_MAX) this.#tiles.delete(this.#tiles.keys().next().value!);
  }

  finish(): { value: WindowValue; status: FieldStatus; eventTimeMs: number | undefined; origin: WindowOrigin } {
    this.#walk.finish();
    const { hopMs } = this.#span;
    const origin: WindowOrigin = {
      feature: this.view.aggregations[this.#index]!,
      hopMs,
      fromMs: this.#fromMs,
      toMs: this.atMs,
      rows: this.#rows,
      tiles: [...this.#tiles].reverse().map(([tile, rows]) => ({ fromMs: tile * hopMs, toMs: (tile + 1) * hopMs, rows })),
    };
    if (!this.#isFound) return { value: null, status: 'not_found', eventTimeMs: undefined, origin };
    const eventTimeMs = this.#fold.newestMs;
    if (isExpired(eventTimeMs, this.atMs, this.view.spec.ttl)) return { value: null, status: 'outside_max_age', eventTimeMs, origin };
    const value = this.#fold.values[this.#index]!;
    return { value, status: value === null ? 'null_value' : 'present', eventTimeMs, origin };
  }
}
