import type { CollectedMetric, MetricSample } from '@headrace/platform/telemetry';
import type { Histogram } from '../domain/histogram.js';
import type { ShadowBook, ShadowStatistics } from '../domain/shadow-statistics.js';
import type { ModelStatistics, StatisticsBook } from '../domain/model-statistics.js';

/** The statistics of all versions as Prometheus metrics, made when it asks. */
export function statisticsMetrics(book: StatisticsBook): CollectedMetric[] {
  const all = (toSamples: (one: ModelStatistics) => MetricSample[]) => (): MetricSample[] =>
    [...book.list(), book.unrouted].flatMap(toSamples);
  const versions = (toSamples: (one: ModelStatistics) => MetricSample[]) => (): MetricSample[] => book.list().flatMap(toSamples);
  const histogram = (name: string, help: string, of: (one: ModelStatistics) => Histogram): CollectedMetric => ({
    name,
    help,
    type: 'histogram',
    read: versions((one) => histogramSamples(name, labelsOf(one), of(one))),
  });
  return [
    {
      name: 'headrace_serving_predictions_total',
      help: 'Answered requests by outcome: ok, or the error code; without a version where the request found none',
      type: 'counter',
      read: all((one) => [
        ...(one.version > 0 ? [{ labels: { ...labelsOf(one), outcome: 'ok' }, value: one.requests }] : []),
        ...[...one.failures].map(([outcome, value]) => ({ labels: { ...labelsOf(one), outcome }, value })),
      ]),
    },
    {
      name: 'headrace_serving_rows_total',
      help: 'Rows answered',
      type: 'counter',
      read: versions((one) => [{ labels: labelsOf(one), value: one.rows }]),
    },
    histogram(
      'headrace_serving_predict_seconds',
      'Time from the read request to its answer, without the transport; answered requests only',
      (one) => one.latency,
    ),
    histogram('headrace_serving_queue_seconds', 'Time from the read request to the start of its run', (one) => one.queue),
    histogram('headrace_serving_run_seconds', 'Time of one native run', (one) => one.compute),
    histogram('headrace_serving_batch_rows', 'Rows of one native run', (one) => one.batchRows),
  ];
}

/** How shadows compare with the versions whose answers callers got. */
export function shadowMetrics(book: ShadowBook): CollectedMetric[] {
  const read = (toSamples: (one: ShadowStatistics, labels: Record<string, string>) => MetricSample[]) => (): MetricSample[] =>
    book
      .list()
      .flatMap((one) =>
        toSamples(one, { project: one.project, model: one.model, version: String(one.primary), shadow: String(one.shadow) }),
      );
  const histogram = (name: string, help: string, of: (one: ShadowStatistics) => Histogram): CollectedMetric => ({
    name,
    help,
    type: 'histogram',
    read: read((one, labels) => histogramSamples(name, labels, of(one))),
  });
  return [
    {
      name: 'headrace_serving_shadow_requests_total',
      help: 'Requests that were copied to a shadow, by outcome: compared, skipped, or the error code of the shadow',
      type: 'counter',
      read: read((one, labels) => [
        { labels: { ...labels, outcome: 'compared' }, value: one.requests },
        { labels: { ...labels, outcome: 'skipped' }, value: one.skipped },
        ...[...one.failures].map(([outcome, value]) => ({ labels: { ...labels, outcome }, value })),
      ]),
    },
    {
      name: 'headrace_serving_shadow_rows_total',
      help: 'Rows that both versions answered, by whether their labels agree',
      type: 'counter',
      read: read((one, labels) => [
        { labels: { ...labels, agree: 'yes' }, value: one.agreed },
        { labels: { ...labels, agree: 'no' }, value: one.rows - one.agreed },
      ]),
    },
    histogram('headrace_serving_shadow_score_difference', 'Absolute difference of the scores of a row', (one) => one.difference),
    histogram('headrace_serving_shadow_seconds', 'Time of the shadow from the copy to its scores', (one) => one.shadowLatency),
  ];
}

function labelsOf({ project, model, version }: ModelStatistics): Record<string, string> {
  return { project, model, version: version === 0 ? '' : String(version) };
}

/** Prometheus buckets count all that is not above their bound. */
function histogramSamples(name: string, labels: Record<string, string>, { bounds, counts, count, sum }: Histogram): MetricSample[] {
  let upTo = 0;
  const buckets = bounds.map((bound, i) => ({
    metricName: `${name}_bucket`,
    labels: { ...labels, le: bound },
    value: (upTo += counts[i]!),
  }));
  return [
    ...buckets,
    { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
