import { vectorKey } from '@headrace/codec/feature-key';
import type { FeatureService } from './feature-service.js';
import type { View } from './view.js';

/** A feature service whose vectors are kept online, ready to be read. */
export interface ServiceVector {
  readonly project: string;
  readonly service: string;
  /** Of the service. Vectors of an older one are not kept up to date, so they are never read. */
  readonly version: number;
  readonly entity: string;
  /** In the order of the vector's parts. */
  readonly views: readonly string[];
}

/** What is kept follows from the service's own text alone, so that within a version it never changes. Undefined when nothing is. */
export function vectorOf(
  { project, name, version, spec }: FeatureService,
  find: (view: string) => View | undefined,
): ServiceVector | undefined {
  if (!spec.precomputed) return undefined;
  const views = viewsOf(spec);
  const entity = find(views[0]!)?.entity;
  if (entity === undefined) return undefined;
  return { project, service: name, version, entity, views };
}

/** The views that a service picks from, each once, in its order. */
function viewsOf({ features }: FeatureService['spec']): string[] {
  return [...new Set(features.map(({ view }) => view))];
}

/** Why the vectors of a service cannot be kept. */
export function vectorFaults(spec: FeatureService['spec'], find: (view: string) => Pick<View, 'spec'> | undefined): string[] {
  if (!spec.precomputed) return [];
  const picked = spec.features.flatMap(({ view: name, feature }): string[] => {
    const view = find(name);
    if (!view) return [`${name} is an on-demand view, which is computed when it is read`];
    if (!view.spec.online) return [`view ${name} is kept offline only`];
    const stored = new Set(view.spec.features.map((field) => field.name));
    const isStored = feature === undefined ? !hasDerived(view) : stored.has(feature);
    return isStored
      ? []
      : [`${name}${feature === undefined ? ' has features that are' : `:${feature} is`} made of time or windows when read`];
  });
  const entities = [...new Set(spec.features.flatMap(({ view }) => find(view)?.spec.entity ?? []))];
  if (entities.length > 1) picked.push(`its views are of ${entities.length} entities, ${entities.join(' and ')}, and a vector is of one`);
  return [...new Set(picked)].map((fault) => `it cannot be precomputed, because ${fault}`);
}

function hasDerived({ spec }: Pick<View, 'spec'>): boolean {
  return (spec.aggregations ?? []).length > 0 || (spec.timeFeatures ?? []).length > 0;
}

export function vectorKeyOf({ project, entity, service }: ServiceVector, entityKey: string): string {
  return vectorKey(project, entity, entityKey, service);
}
