import { z } from 'zod';
import { aggregatedFeatures, aggregation, aggregationFault } from './aggregation.js';
import { featureField } from './feature-field.js';
import { qualityObjective } from './quality.js';
import { duration, flag, name, optionalList, positiveDuration } from './scalars.js';
import { viewSource } from './source.js';
import { timeFeature, timeFeatureFault } from './time-feature.js';

/** At least `fraction` of the entities that were written in `window` must be younger than `maxAge`. */
const freshness = z.strictObject({
  maxAge: positiveDuration,
  fraction: z.number().gt(0).max(1).default(0.99),
  window: positiveDuration.default(3_600_000),
});
export type FreshnessObjective = z.output<typeof freshness>;

export const featureViewSpec = z
  .strictObject({
    description: z.string().default(''),
    owner: z.string().default(''),
    tags: z.array(z.string()).default([]),
    entity: name,
    source: viewSource.optional(),
    /** Values older than this are not served and not joined; 0 = they never expire. */
    ttl: duration.default(0),
    /** How far back joins may ask; older rows go from the history. Unset = nothing goes. */
    retention: positiveDuration.optional(),
    freshness: freshness.optional(),
    quality: qualityObjective.optional(),
    /** false = kept in the offline store only (labels). */
    online: z.boolean().default(true),
    /** The view holds labels: its features may be predicted, never picked as inputs. */
    labels: flag,
    features: z.array(featureField).min(1).max(1000),
    aggregations: optionalList(aggregation, 100),
    timeFeatures: optionalList(timeFeature, 100),
  })
  .superRefine((spec, context) => {
    const columnOf = new Map(spec.features.map((f) => [f.name, f]));
    const add = (path: (string | number)[], message: string): void => void context.addIssue({ code: 'custom', path, message });
    for (const [i, one] of (spec.aggregations ?? []).entries()) {
      const fault = aggregationFault(one, columnOf);
      if (fault) add(['aggregations', i], fault);
    }
    for (const [i, one] of (spec.timeFeatures ?? []).entries()) {
      const fault = timeFeatureFault(one, columnOf);
      if (fault) add(['timeFeatures', i], fault);
    }
    const names = [
      ...spec.features.map((f, i) => ({ name: f.name, path: ['features', i] })),
      ...(spec.aggregations ?? []).flatMap((one, i) =>
        aggregatedFeatures([one], columnOf).map((f) => ({ name: f.name, path: ['aggregations', i] })),
      ),
      ...(spec.timeFeatures ?? []).map((f, i) => ({ name: f.name, path: ['timeFeatures', i] })),
    ];
    const seen = new Set<string>();
    for (const { name: one, path } of names) {
      if (seen.has(one)) add(path, `feature names must be unique, and ${one} is taken; rename one of them`);
      if (!name.safeParse(one).success) add(path, `the name ${one} is too long; at most 63 characters fit`);
      seen.add(one);
    }
  });

export type FeatureViewSpec = z.output<typeof featureViewSpec>;
