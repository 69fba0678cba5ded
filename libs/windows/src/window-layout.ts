import { windowStart, type WindowPlan } from './window-plan.js';

/** How far the horizon lies behind the writer's clock: readers whose clocks run behind by less still get their own moment. */
export const HORIZON_LAG_MS = 5_000;

/** Event times from (included) to (excluded). */
export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * How the past is cut, seen from a horizon: rows at and after it stand singly, because a reader's moment may fall between them; before
 * it, each stretch has tiles of the size at which the edges of the windows that can still cross it move. So one entity has a few
 * dozen tiles for each window, whatever the number of its rows. A pure function of plan and horizon.
 */
export class WindowLayout {
  /** Rows before it are in no window any more. */
  readonly oldestMs: number;
  readonly #starts: readonly number[];

  constructor(
    private readonly plan: WindowPlan,
    readonly horizonMs: number,
  ) {
    this.#starts = plan.windows.map((window) => windowStart(window, horizonMs));
    this.oldestMs = this.#starts.at(-1)!;
  }

  /** The tile that a row of this time belongs to; undefined when it is too old for every window. From the horizon on: the single rows. */
  rangeOf(timeMs: number): Range | undefined {
    const { horizonMs } = this;
    if (timeMs >= horizonMs) return { fromMs: horizonMs, toMs: Infinity };
    if (timeMs < this.oldestMs) return undefined;
    const { windows } = this.plan;
    for (let i = windows.length - 1; i > 0; i--) {
      const range = tileAt(timeMs, windows[i]!.hopMs);
      // Only where no shorter window can have its edge inside of it any more.
      if (range.toMs <= this.#starts[i - 1]!) return range;
    }
    const { fromMs, toMs } = tileAt(timeMs, windows[0]!.hopMs);
    return { fromMs, toMs: Math.min(toMs, horizonMs) };
  }
}

function tileAt(timeMs: number, sizeMs: number): Range {
  const fromMs = Math.floor(timeMs / sizeMs) * sizeMs;
  return { fromMs, toMs: fromMs + sizeMs };
}
