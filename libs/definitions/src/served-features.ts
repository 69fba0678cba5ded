import { aggregatedFeatures, type AggregatedFeature } from './aggregation.js';
import type { ValueType } from './feature-field.js';
import type { FeatureViewSpec } from './feature-view.js';
import { frequencyAggregation, timeFeatureType } from './time-feature.js';

/** A feature that can be asked for as `view:feature`, wherever its value comes from. */
export interface ServedFeature {
  readonly name: string;
  readonly type: ValueType;
  readonly dimension: number | undefined;
  readonly origin: 'stored' | 'aggregation' | 'time';
  readonly description: string;
  readonly pii: boolean;
}

/** All features of a view, the stored ones first. */
export function servedFeatures(spec: FeatureViewSpec): ServedFeature[] {
  const piiColumns = new Set(spec.features.filter((f) => f.pii).map((f) => f.name));
  const derived = (
    feature: { name: string; type: ValueType; dimension?: number | undefined; description?: string | undefined },
    column?: string,
  ): ServedFeature => ({
    name: feature.name,
    type: feature.type,
    dimension: feature.dimension,
    origin: 'time',
    description: feature.description ?? '',
    pii: column !== undefined && piiColumns.has(column),
  });
  return [
    ...spec.features.map((f) => ({ ...derived(f, f.name), origin: 'stored' as const })),
    ...aggregationsOf(spec).map((f) => ({ ...derived(f, f.column), origin: 'aggregation' as const })),
    ...(spec.timeFeatures ?? [])
      .filter((f) => f.kind !== 'frequency')
      .map((f) => derived({ name: f.name, type: timeFeatureType(f), description: f.description }, f.of)),
  ];
}

/** Everything of a view that is counted in windows: its aggregations and its frequencies. */
export function aggregationsOf(spec: FeatureViewSpec): AggregatedFeature[] {
  const columnOf = new Map(spec.features.map((f) => [f.name, f]));
  return [
    ...aggregatedFeatures(spec.aggregations ?? [], columnOf),
    ...(spec.timeFeatures ?? []).flatMap((f) => (f.kind === 'frequency' ? [frequencyAggregation(f)] : [])),
  ];
}
