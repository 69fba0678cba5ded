import type { Spec } from '@headrace/definitions/definition';
import { resolveService, type ServiceFeature } from '@headrace/definitions/feature-service';
import { servedFeatures } from '@headrace/definitions/served-features';
import type { View } from './view.js';

/** A feature service as it stands: its choice, resolved against the newest views. Immutable. */
export interface FeatureService {
  readonly project: string;
  readonly name: string;
  readonly version: number;
  readonly contentHash: string;
  readonly spec: Spec<'FeatureService'>;
  readonly features: readonly ServiceFeature[];
  /** What it picks and no longer finds: a view was broken on purpose, and reading the service is refused. */
  readonly faults: readonly string[];
}

export function compileService(
  parts: Omit<FeatureService, 'features' | 'faults'>,
  find: (view: string) => readonly string[] | undefined,
): FeatureService {
  return { ...parts, ...resolveService(parts.spec, find) };
}

/** Names of the features of whichever of the two there is. */
export function featureNames(
  view: Pick<View, 'spec'> | undefined,
  transform: { readonly spec: Spec<'OnDemandView'> } | undefined,
): string[] | undefined {
  return view ? servedFeatures(view.spec).map((f) => f.name) : transform?.spec.features.map((f) => f.name);
}

/** `view:feature` of each, in its order. */
export function referencesOf({ features }: FeatureService): string[] {
  return features.map(({ view, feature }) => `${view}:${feature}`);
}
