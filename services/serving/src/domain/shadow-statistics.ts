import type { ErrorCode } from '@headrace/base/errors';
import { Histogram } from './histogram.js';

/** Probabilities lie in 0..1; a difference below the first bound is rounding. Of values of a regression the last bucket holds what differs by more. */
const DIFFERENCES = [0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];
/** Seconds. */
const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];

interface Answer {
  readonly scores: Float32Array;
  readonly threshold: number;
  readonly seconds: number;
}

/** How the answers of a shadow compare with those of the version that callers got, row by row of the same requests. */
export class ShadowStatistics {
  requests = 0;
  rows = 0;
  /** Rows with the same label. */
  agreed = 0;
  /** Copies that were not run, or whose request was refused: to make room, or because the caller's version gave no answer. */
  skipped = 0;
  readonly failures = new Map<ErrorCode, number>();
  /** Absolute difference of the scores, by row. */
  readonly difference = new Histogram(DIFFERENCES);
  readonly primaryLatency = new Histogram(SECONDS);
  readonly shadowLatency = new Histogram(SECONDS);

  constructor(
    readonly project: string,
    readonly model: string,
    readonly primary: number,
    readonly shadow: number,
  ) {}

  compared(primary: Answer, shadow: Answer): void {
    this.requests++;
    this.rows += primary.scores.length;
    for (const [row, score] of primary.scores.entries()) {
      const other = shadow.scores[row]!;
      if (score >= primary.threshold === other >= shadow.threshold) this.agreed++;
      this.difference.observe(Math.abs(score - other));
    }
    this.primaryLatency.observe(primary.seconds);
    this.shadowLatency.observe(shadow.seconds);
  }

  failed(code: ErrorCode): void {
    this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
  }
}

/** Pairs of versions whose comparison is kept; the newest stay. */
const PAIRS_MAX = 100;

export class ShadowBook {
  readonly #pairs = new Map<string, ShadowStatistics>();

  of(project: string, model: string, primary: number, shadow: number): ShadowStatistics {
    const key = `${project}/${model}/${primary}/${shadow}`;
    let found = this.#pairs.get(key);
    if (found) return found;
    const oldest = this.#pairs.keys().next().value;
    if (this.#pairs.size >= PAIRS_MAX && oldest !== undefined) this.#pairs.delete(oldest);
    this.#pairs.set(key, (found = new ShadowStatistics(project, model, primary, shadow)));
    return found;
  }

  /** '' = all. */
  list(project = '', model = ''): ShadowStatistics[] {
    return [...this.#pairs.values()].filter((one) => (project === '' || one.project === project) && (model === '' || one.model === model));
  }
}
