import type {
  Histogram as HistogramMessage,
  InputColumn,
  Route,
  ShadowComparison,
  VersionDescription as DescriptionMessage,
  VersionStatistics,
} from '@headrace/contracts/serving/v1/serving';
import { parseGoldenRows } from '@headrace/executor/golden-rows';
import type { Histogram } from '../domain/histogram.js';
import type { ModelStatistics } from '../domain/model-statistics.js';
import type { RoutePolicy } from '../domain/route-policy.js';
import type { ModelRoutes, RoutedVersion } from '../domain/routing-table.js';
import type { ShadowStatistics } from '../domain/shadow-statistics.js';
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

export function comparisonMessage(one: ShadowStatistics): ShadowComparison {
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

/** What is no number or name is refused by checkPolicy. */
export function policyOf({ traffic, shadow }: Route): RoutePolicy {
  return { traffic: trafficOf(traffic), shadow: shadow && { version: shadow.version, percent: shadow.percent } };
}

export function routeMessage(project: string, model: string, { policy, champion, versions }: ModelRoutes<RoutedVersion>): Route {
  const { traffic, shadow } = policy;
  return {
    project,
    model,
    traffic:
      traffic.kind === 'canary'
        ? { $case: 'canary', value: { version: traffic.version, percent: traffic.percent, salt: traffic.salt } }
        : traffic.kind === 'split'
          ? { $case: 'split', value: { arms: traffic.arms.map((arm) => ({ ...arm })), salt: traffic.salt } }
          : undefined,
    shadow: shadow && { ...shadow },
    champion: champion?.version ?? 0,
    loaded: [...versions.keys()],
  };
}

function trafficOf(traffic: Route['traffic']): RoutePolicy['traffic'] {
  switch (traffic?.$case) {
    case undefined:
      return { kind: 'champion' };
    case 'canary':
      return { kind: 'canary', version: traffic.value.version, percent: traffic.value.percent, salt: traffic.value.salt };
    case 'split': {
      const arms = traffic.value.arms.map(({ name, version, weight }) => ({ name, version, weight }));
      return { kind: 'split', arms, salt: traffic.value.salt };
    }
  }
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
