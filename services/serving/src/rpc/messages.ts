import type {
  Histogram as HistogramMessage,
  InputColumn,
  VersionDescription as DescriptionMessage,
  VersionStatistics,
} from '@headrace/contracts/serving/v1/serving';
import { parseGoldenRows } from '@headrace/executor/golden-rows';
import type { Histogram } from '../domain/histogram.js';
import type { ModelStatistics } from '../domain/model-statistics.js';
import { nameOf, type VersionDescription } from '../domain/version-description.js';

/** Example rows in a description; enough to try a model by hand. */
const EXAMPLES_MAX = 10;

export function statisticsMessage(one: ModelStatistics): VersionStatistics {
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

export function descriptionMessage(description: VersionDescription): DescriptionMessage {
  const { project, model, version, signature, golden } = description;
  return {
    project,
    model,
    version,
    inputs: signature.features.map(columnMessage),
    protectedAttributes: signature.protectedFeatures.map(columnMessage),
    entityKeys: signature.entityKeys,
    threshold: signature.threshold,
    examples: parseGoldenRows(golden, nameOf(description))
      .slice(0, EXAMPLES_MAX)
      .map(({ features, label, probability }) => ({ features, label, score: probability })),
  };
}

function histogramMessage({ bounds, counts, count, sum }: Histogram): HistogramMessage {
  return { upperBounds: [...bounds], counts: [...counts], count, sum };
}

function columnMessage({ name, type, reference }: InputColumn): InputColumn {
  return { name, type, reference };
}
