import type { Spec } from '@headrace/definitions/definition';
import { compileTransform, type CompiledTransform } from '@headrace/definitions/on-demand-view';
import { splitReference } from '@headrace/definitions/reference';
import { servedFeatures } from '@headrace/definitions/served-features';
import type { View } from './view.js';

/** An on-demand view as it stands, its expressions compiled against the newest views. Immutable. */
export interface Transform {
  readonly project: string;
  readonly name: string;
  readonly version: number;
  readonly contentHash: string;
  readonly spec: Spec<'OnDemandView'>;
  readonly compiled: CompiledTransform;
}

type FindView = (view: string) => Pick<View, 'spec'> | undefined;

/** All that keeps the expressions from being compiled, or the transform. */
export function compileOnDemand(spec: Spec<'OnDemandView'>, find: FindView): ReturnType<typeof compileTransform> {
  return compileTransform(spec, (reference) => {
    const { view, feature } = splitReference(reference);
    const found = find(view);
    if (!found) return `view ${view} is not defined; apply it first or in the same request`;
    if (found.spec.labels) return `view ${view} holds labels, and a model must not see the answer; take another feature`;
    const served = servedFeatures(found.spec);
    return (
      served.find((f) => f.name === feature) ?? `view ${view} has no feature ${feature}; it has ${served.map((f) => f.name).join(', ')}`
    );
  });
}
