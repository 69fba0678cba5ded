/** Where a version runs: on the event loop, or in a process of its own. */
export type Place = 'here' | 'worker';

/** What a verdict rests on. */
export interface RunFigures {
  /** Runs that were looked at. */
  readonly runs: number;
  /** Of the typical run. */
  readonly rows: number;
  /** Of the typical run, ms; of the event loop's thread only the part in which it had the processor. */
  readonly ms: number;
  /** Longest run that may stay on the event loop, ms. */
  readonly boundMs: number;
}

/** Runs that are looked at together. */
export const WINDOW_RUNS = 32;
/** Half of the window or more has many rows, so that with fewer runs beyond the bound their median cannot be. */
const SUSPECT_RUNS = WINDOW_RUNS / 4;
/** A version comes back to the event loop when its runs take no more than this share of the bound: one that is near the bound stays where it is. */
const BACK_SHARE = 2 / 3;
/** The kernel may count a thread's processor time by ticks (4 ms, measured): what took less on the wall cannot be judged by it. */
const CPU_TIME_FROM_MS = 16;
/** Windows that must agree, one after the other. Twice as many for each way back that was taken, and for each move that failed, so that moves grow with the logarithm of the runs. */
const WINDOWS = { here: 1, worker: 4 } as const;

/**
 * Watches the runs of one version and says when they belong to the other place. The typical run is the median of those with many rows (at least the
 * median number of them): fewer than a quarter of the runs may have been held up by a pause of the machine, whatever its length, and the rest still
 * decides. A run on the event loop costs two stores and a comparison; only windows with many long ones are looked at.
 */
export class RunWatch {
  /** Told once, when the runs belong to the other place, until `moved` or `stayed`. */
  wrongPlace: () => void = ignore;
  readonly #rows = new Float64Array(WINDOW_RUNS);
  readonly #ms = new Float64Array(WINDOW_RUNS);
  #runs = 0;
  /** Runs of this window that were longer than the bound. */
  #long = 0;
  /** The last window was suspect: this one is measured by the processor's time, too, and judged. */
  #isMeasured = false;
  #agreeing = 0;
  readonly #needed: Record<Place, number> = { ...WINDOWS };
  /** Its move is under way: nothing is judged before `moved` or `stayed`. */
  #isDecided = false;
  /** Rows of the typical run here, last time; the way back is judged by a run of as many. 0 = it was never here. */
  #rowsHere = 0;
  #cpuAtMs = 0;
  #figures: RunFigures;

  /**
   * @param boundMs longest typical run on the event loop
   * @param threadCpuMs processor time of the event loop's thread
   */
  constructor(
    public place: Place,
    readonly boundMs: number,
    private readonly threadCpuMs: () => number,
  ) {
    this.#figures = { runs: 0, rows: 0, ms: 0, boundMs };
  }

  /** Of the last window that was judged. */
  get figures(): RunFigures {
    return this.#figures;
  }

  /** A run held the event loop up. */
  ranHere(rows: number, ms: number): void {
    if (this.place !== 'here') return;
    if (ms > this.boundMs) this.#long++;
    if (this.#add(rows, ms)) this.#judgeHere();
  }

  /** A run in a process of its own. @param ms of the run alone, as that process measured */
  ranElsewhere(rows: number, ms: number): void {
    if (this.place === 'worker' && this.#add(rows, ms)) this.#judgeElsewhere();
  }

  /** It runs there now; what ran before, or while it was opened, says nothing about it. */
  moved(place: Place): void {
    if (place === 'here') this.#needed.worker *= 2;
    this.place = place;
    this.#start();
  }

  /** What ran while it was opened the first time says nothing of its load. */
  opened(): void {
    this.#start();
  }

  /** It could not be moved. */
  stayed(): void {
    this.#needed[this.place] *= 2;
    this.#start();
  }

  #start(): void {
    this.#runs = this.#long = this.#agreeing = 0;
    this.#isDecided = this.#isMeasured = false;
  }

  /** @returns whether the window is full. */
  #add(rows: number, ms: number): boolean {
    if (this.#isDecided) return false;
    this.#rows[this.#runs] = rows;
    this.#ms[this.#runs] = ms;
    return ++this.#runs === WINDOW_RUNS;
  }

  #judgeHere(): void {
    const isSuspect = this.#long >= SUSPECT_RUNS;
    const wasMeasured = this.#isMeasured;
    this.#isMeasured = isSuspect;
    this.#runs = this.#long = 0;
    if (!isSuspect) this.#agreeing = 0;
    else if (wasMeasured) this.#judgeMeasured();
    else this.#cpuAtMs = this.threadCpuMs();
  }

  #judgeMeasured(): void {
    const { rows, ms } = this.#typical();
    let wallMs = 0;
    for (const one of this.#ms) wallMs += Math.min(one, ms);
    const cpuMs = this.threadCpuMs();
    // A thread that had the processor for a part of the time has run for a part of it: that is a busy machine, no slow model.
    const share = wallMs < CPU_TIME_FROM_MS ? 1 : Math.min(1, (cpuMs - this.#cpuAtMs) / wallMs);
    this.#cpuAtMs = cpuMs;
    this.#rowsHere = rows;
    this.#closeWindow(rows, ms * share, ms * share > this.boundMs);
  }

  #judgeElsewhere(): void {
    const { rows, ms } = this.#typical();
    // A run of more rows takes at most so many times longer, and one of fewer not longer: what it would take here is not more than this.
    const hereMs = ms * Math.max(1, this.#rowsHere / rows);
    this.#closeWindow(Math.max(rows, this.#rowsHere), hereMs, hereMs <= this.boundMs * BACK_SHARE);
  }

  #closeWindow(rows: number, ms: number, isWrongPlace: boolean): void {
    this.#figures = { runs: WINDOW_RUNS, rows, ms, boundMs: this.boundMs };
    this.#runs = 0;
    this.#agreeing = isWrongPlace ? this.#agreeing + 1 : 0;
    this.#isDecided = this.#agreeing >= this.#needed[this.place];
    if (this.#isDecided) this.wrongPlace();
  }

  #typical(): { readonly rows: number; readonly ms: number } {
    const rows = median(this.#rows.slice());
    return { rows, ms: median(this.#ms.filter((_, i) => this.#rows[i]! >= rows)) };
  }
}

function ignore(): void {
  return undefined;
}

/** The upper one of an even number. Sorts in place. */
function median(values: Float64Array): number {
  return values.sort()[values.length >> 1]!;
}
