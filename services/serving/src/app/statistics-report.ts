import {
  GetStatisticsResponse,
  type Histogram as HistogramMessage,
  type ShadowComparison,
  type VersionStatistics,
} from '@headrace/contracts/serving/v1/serving';
import type { Siblings } from '@headrace/platform/processes/siblings';
import type { Histogram } from '../domain/histogram.js';
import type { ModelStatistics, StatisticsBook } from '../domain/model-statistics.js';
import type { ShadowBook, ShadowStatistics } from '../domain/shadow-statistics.js';

const TOPIC = 'statistics';
/** A sibling that does not answer within this time is left out. */
const SIBLING_TIMEOUT_MS = 1_000;

interface Wanted {
  readonly project: string;
  readonly model: string;
}

/** What all processes behind the port did, added up: a caller cannot know which of them it reached. */
export class StatisticsReport {
  constructor(
    private readonly book: StatisticsBook,
    private readonly shadows: ShadowBook,
    private readonly siblings: Siblings,
  ) {
    siblings.on<Wanted>(TOPIC, ({ project, model }) => Promise.resolve(GetStatisticsResponse.toJSON(this.#own(project, model))));
  }

  /** '' = all. */
  async of(project: string, model: string): Promise<GetStatisticsResponse> {
    const answers = await this.siblings.ask(TOPIC, { project, model } satisfies Wanted, SIBLING_TIMEOUT_MS);
    const others = answers.flatMap((answer) => (answer.ok ? [GetStatisticsResponse.fromJSON(answer.body)] : []));
    return others.reduce(addStatistics, this.#own(project, model));
  }

  #own(project: string, model: string): GetStatisticsResponse {
    return {
      versions: this.book.list(project, model).map(statisticsMessage),
      shadows: this.shadows.list(project, model).map(comparisonMessage),
    };
  }
}

/** Counts of the same version, or of the same pair of versions, as one. */
export function addStatistics(one: GetStatisticsResponse, other: GetStatisticsResponse): GetStatisticsResponse {
  return {
    versions: joined(
      one.versions,
      other.versions,
      (v) => `${v.project}/${v.model}/${v.version}`,
      (a, b) => ({
        ...a,
        requests: a.requests + b.requests,
        rows: a.rows + b.rows,
        failures: addCounts(a.failures, b.failures),
        latency: addHistograms(a.latency, b.latency),
        queue: addHistograms(a.queue, b.queue),
        compute: addHistograms(a.compute, b.compute),
        batchRows: addHistograms(a.batchRows, b.batchRows),
        lastAnsweredAt: later(a.lastAnsweredAt, b.lastAnsweredAt),
      }),
    ),
    shadows: joined(
      one.shadows,
      other.shadows,
      (s) => `${s.project}/${s.model}/${s.primaryVersion}/${s.shadowVersion}`,
      (a, b) => ({
        ...a,
        requests: a.requests + b.requests,
        rows: a.rows + b.rows,
        agreed: a.agreed + b.agreed,
        skipped: a.skipped + b.skipped,
        failures: addCounts(a.failures, b.failures),
        scoreDifference: addHistograms(a.scoreDifference, b.scoreDifference),
        primaryLatency: addHistograms(a.primaryLatency, b.primaryLatency),
        shadowLatency: addHistograms(a.shadowLatency, b.shadowLatency),
      }),
    ),
  };
}

function joined<T>(some: readonly T[], more: readonly T[], keyOf: (one: T) => string, add: (a: T, b: T) => T): T[] {
  const byKey = new Map(some.map((one) => [keyOf(one), one]));
  for (const one of more) {
    const there = byKey.get(keyOf(one));
    byKey.set(keyOf(one), there ? add(there, one) : one);
  }
  return [...byKey.values()];
}

function addCounts(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): Record<string, number> {
  const sum = { ...a };
  for (const [key, count] of Object.entries(b)) sum[key] = (sum[key] ?? 0) + count;
  return sum;
}

/** Of the same bounds: all processes run the same file. */
function addHistograms(a: HistogramMessage | undefined, b: HistogramMessage | undefined): HistogramMessage | undefined {
  if (!a || !b) return a ?? b;
  return { ...a, counts: a.counts.map((count, i) => count + (b.counts[i] ?? 0)), count: a.count + b.count, sum: a.sum + b.sum };
}

function later(a: Date | undefined, b: Date | undefined): Date | undefined {
  if (!a || !b) return a ?? b;
  return a > b ? a : b;
}

function statisticsMessage(one: ModelStatistics): VersionStatistics {
  return {
    project: one.project,
    model: one.model,
    version: one.version,
    requests: one.requests,
    rows: one.rows,
    failures: Object.fromEntries(one.failures),
    latency: histogramMessage(one.latency),
    queue: histogramMessage(one.queue),
    compute: histogramMessage(one.compute),
    batchRows: histogramMessage(one.batchRows),
    lastAnsweredAt: one.lastAnsweredAtMs > 0 ? new Date(one.lastAnsweredAtMs) : undefined,
  };
}

function comparisonMessage(one: ShadowStatistics): ShadowComparison {
  const { project, model, primary, shadow, requests, rows, agreed, skipped } = one;
  return {
    project,
    model,
    primaryVersion: primary,
    shadowVersion: shadow,
    requests,
    rows,
    agreed,
    skipped,
    failures: Object.fromEntries(one.failures),
    scoreDifference: histogramMessage(one.difference),
    primaryLatency: histogramMessage(one.primaryLatency),
    shadowLatency: histogramMessage(one.shadowLatency),
  };
}

function histogramMessage({ bounds, counts, count, sum }: Histogram): HistogramMessage {
  return { upperBounds: [...bounds], counts: [...counts], count, sum };
}
