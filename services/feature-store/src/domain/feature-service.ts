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
}

export function compileService(
  parts: Omit<FeatureService, 'features'>,
  find: (view: string) => Pick<View, 'spec'> | undefined,
): FeatureService {
  const { features } = resolveService(parts.spec, (view) => {
    const found = find(view);
    return found && servedFeatures(found.spec).map((f) => f.name);
  });
  return { ...parts, features };
}

/** `view:feature` of each, in its order. */
export function referencesOf({ features }: FeatureService): string[] {
  return features.map(({ view, feature }) => `${view}:${feature}`);
}
