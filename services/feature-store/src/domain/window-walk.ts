import type { EventRow } from '@headrace/windows/measure';
import type { WindowFold } from '@headrace/windows/window-fold';
import { WindowState } from '@headrace/windows/window-state';

/** Rows that stand singly before they are summed up: bounds the memory of a walk between two moments. */
const SUM_AFTER_ROWS = 5_000;

/**
 * Windows of one entity at many moments, in one walk through its history: the state moves its horizon from moment to moment exactly as the
 * online blob does with the clock. Memory is that of one state, whatever the length of the history.
 */
export class WindowWalk {
  #state: WindowState | undefined;
  #next = 0;

  /** @param momentsMs ascending. @param emit gets the index of the moment; the fold holds its windows. */
  constructor(
    private readonly fold: WindowFold,
    private readonly momentsMs: readonly number[],
    private readonly emit: (moment: number) => void,
  ) {}

  /** Rows of the entity, ascending by time and tie. */
  take(row: EventRow): void {
    while (this.#next < this.momentsMs.length && this.momentsMs[this.#next]! < row.timeMs) this.#read();
    this.#state ??= new WindowState(this.fold.plan, row.timeMs);
    this.#state.append(row);
    if (this.#state.rows.length >= SUM_AFTER_ROWS) this.#state.advance(row.timeMs);
  }

  finish(): void {
    while (this.#next < this.momentsMs.length) this.#read();
  }

  #read(): void {
    const moment = this.#next++;
    if (!this.#state) return;
    const atMs = this.momentsMs[moment]!;
    this.#state.advance(atMs);
    this.#state.read(this.fold, atMs);
    if (this.fold.rows > 0) this.emit(moment);
  }
}
