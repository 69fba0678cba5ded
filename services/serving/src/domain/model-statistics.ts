import type { ErrorCode } from '@headrace/base/errors';
import { Histogram } from './histogram.js';

/** Seconds; the first bounds lie below what Prometheus users are used to, because predictions do. */
const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/**
 * What one version did in this process. Written on the request's path, so that nothing here makes an object; read by the
 * metrics page and by ServingAdmin.GetStatistics.
 */
export class ModelStatistics {
  requests = 0;
  rows = 0;
  /** ms since the epoch; 0 = never. */
  lastAnsweredAtMs = 0;
  /** From the request to its answer, s. */
  readonly latency = new Histogram(SECONDS);
  /** From the request to the start of its run, s; features are looked up in this time. */
  readonly queue = new Histogram(SECONDS);
  /** Of each native run, s. */
  readonly compute = new Histogram(SECONDS);
  /** Rows of each native run. */
  readonly batchRows = new Histogram(ROWS);
  readonly failures = new Map<ErrorCode, number>();
  /** Time that refused requests were inside, s. */
  failedSeconds = 0;
  /** Runs and their seconds by the exact number of rows; index = rows. Grows to the largest run and no further. */
  runsOfRows = new Float64Array(2);
  secondsOfRows = new Float64Array(2);
  /** Runs as their requests see them: the time of a run counts once for each request that shares it. Seconds. */
  readonly shared = { requests: 0, inputSeconds: 0, computeSeconds: 0, outputSeconds: 0 };

  constructor(
    readonly project: string,
    readonly model: string,
    /** 0 = requests that named no model that is here. */
    readonly version: number,
  ) {}

  /** Its time is told to `latency`, by which requests that came and were answered together can be counted together. */
  answered(rows: number, nowMs: number): void {
    this.requests++;
    this.rows += rows;
    this.lastAnsweredAtMs = nowMs;
  }

  failed(code: ErrorCode, seconds: number): void {
    this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
    this.failedSeconds += seconds;
  }

  ran(rows: number, seconds: number): void {
    this.compute.observe(seconds);
    this.batchRows.observe(rows);
    if (rows >= this.runsOfRows.length) {
      this.runsOfRows = grown(this.runsOfRows, rows);
      this.secondsOfRows = grown(this.secondsOfRows, rows);
    }
    this.runsOfRows[rows]!++;
    this.secondsOfRows[rows]! += seconds;
  }

  /** A run that `requests` requests shared; a later slice of a large request is 0 requests, and adds its time alone. */
  ranFor(requests: number, inputSeconds: number, computeSeconds: number, outputSeconds: number): void {
    const { shared } = this;
    const times = Math.max(requests, 1);
    shared.requests += requests;
    shared.inputSeconds += inputSeconds * times;
    shared.computeSeconds += computeSeconds * times;
    shared.outputSeconds += outputSeconds * times;
  }
}

/** Versions whose statistics are kept; those that answered last stay. */
const VERSIONS_MAX = 500;

/** Statistics of every version since the start of the process: a version that comes back goes on counting where it stopped. */
export class StatisticsBook {
  readonly #versions = new Map<string, ModelStatistics>();
  /** Requests that found no version. */
  readonly unrouted = new ModelStatistics('', '', 0);

  constructor(private readonly versionsMax = VERSIONS_MAX) {}

  of(project: string, model: string, version: number): ModelStatistics {
    const key = `${project}/${model}/${version}`;
    let found = this.#versions.get(key);
    if (found) return found;
    if (this.#versions.size >= this.versionsMax) this.#forgetOldest();
    this.#versions.set(key, (found = new ModelStatistics(project, model, version)));
    return found;
  }

  /** In the order in which they came; '' = all. */
  list(project = '', model = ''): ModelStatistics[] {
    return [...this.#versions.values()].filter(
      (one) => (project === '' || one.project === project) && (model === '' || one.model === model),
    );
  }

  #forgetOldest(): void {
    let oldest: [string, ModelStatistics] | undefined;
    for (const entry of this.#versions) if (!oldest || entry[1].lastAnsweredAtMs < oldest[1].lastAnsweredAtMs) oldest = entry;
    if (oldest) this.#versions.delete(oldest[0]);
  }
}

function grown(old: Float64Array, index: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(Math.max(index + 1, old.length * 2));
  larger.set(old);
  return larger;
}
