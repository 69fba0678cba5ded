import { decodeWindows, encodeWindows } from '@headrace/windows/window-blob';
import type { EventRow } from '@headrace/windows/measure';
import type { Range } from '@headrace/windows/window-layout';
import type { WindowPlan } from '@headrace/windows/window-plan';
import { WindowState } from '@headrace/windows/window-state';

/**
 * One entity's windows on their way from one blob to the next: which stretches must be read from the stored rows, and what comes of them.
 * Rows are given in the order of the ranges, ascending by time and tie.
 */
export class WindowUpdate {
  /** Stretches to read; none = the blob stays as it is. */
  readonly ranges: readonly Range[];
  #state: WindowState;
  readonly #rows: EventRow[][];
  /** Everything is made anew: then rows are summed up as they come, so a long history takes no memory. */
  readonly #isWhole: boolean;

  /**
   * @param blob what is online now. @param timesMs of the rows that came; undefined = make all of it anew.
   * @param horizonMs rows from there on stand singly.
   */
  constructor(
    private readonly plan: WindowPlan,
    blob: Buffer | null,
    timesMs: readonly number[] | undefined,
    private readonly horizonMs: number,
  ) {
    const known = blob && timesMs ? decodeWindows(blob, plan) : undefined;
    known?.advance(horizonMs);
    this.#isWhole = known === undefined;
    this.#state = known ?? new WindowState(plan, horizonMs);
    this.ranges = known ? known.rangesOf(timesMs!) : [this.#state.wholeRange];
    this.#rows = this.ranges.map(() => []);
  }

  /** @param range index into `ranges`. */
  take(range: number, row: EventRow): void {
    const rows = this.#rows[range]!;
    rows.push(row);
    if (this.#isWhole && rows.length >= SUM_AFTER_ROWS) this.#sumUp(rows);
  }

  /** The next blob; undefined when there is nothing to write. */
  finish(): { blob: Buffer; expiresMs: number } | undefined {
    if (this.#isWhole) {
      this.#sumUp(this.#rows[0]!);
      this.#state.advance(this.horizonMs);
    } else for (const [i, range] of this.ranges.entries()) this.#state.replace(range, this.#rows[i]!);
    const state = this.#state;
    if (this.ranges.length === 0 || state.isEmpty) return undefined;
    const longest = this.plan.windows.at(-1)!;
    return { blob: encodeWindows(state), expiresMs: state.newestMs + longest.lengthMs + longest.hopMs + EXPIRY_MARGIN_MS };
  }

  #sumUp(rows: EventRow[]): void {
    if (rows.length === 0) return;
    if (this.#state.isEmpty) this.#state = new WindowState(this.plan, Math.min(rows[0]!.timeMs, this.horizonMs));
    for (const row of rows) this.#state.append(row);
    this.#state.advance(Math.min(rows.at(-1)!.timeMs, this.horizonMs));
    rows.length = 0;
  }
}

const SUM_AFTER_ROWS = 5_000;
/** For clocks that run behind. */
const EXPIRY_MARGIN_MS = 60_000;
