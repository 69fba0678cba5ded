import type { CollectedMetric, MetricSample } from '@headrace/platform/telemetry';
import type { Histogram } from '../domain/histogram.js';
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
