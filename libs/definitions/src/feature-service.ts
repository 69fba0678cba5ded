import { z } from 'zod';
import { featureReference, splitReference } from './reference.js';
import { name, optionalList } from './scalars.js';

interface Picked {
  readonly view: string;
  readonly feature?: string | undefined;
  readonly as?: string | undefined;
}

/** `view` for all its features, `view:feature` for one; the object form can give it another name in the answer. */
const picked = z.union(
  [
    z.union([name, featureReference]).transform((text): Picked => {
      if (!text.includes(':')) return { view: text };
      return { ...splitReference(text) };
    }),
    z.strictObject({ view: name, feature: name.optional(), as: name.optional() }),
  ],
  { error: 'a view, a reference `view:feature`, or { view, feature, as } is wanted' },
);

/** A named, versioned choice of features: what one consumer reads, online and in training sets. */
export const featureServiceSpec = z
  .strictObject({
    description: z.string().default(''),
    owner: z.string().default(''),
    tags: optionalList(z.string(), 100),
    features: z.array(picked).min(1).max(1000),
    /** One value in the online store holds all that an entity has of it: a read is one key of an entity, a write makes it anew. */
    precomputed: z.boolean().default(false),
  })
  .superRefine(({ features }, context) => {
    for (const [i, { feature, as }] of features.entries()) {
      if (as !== undefined && feature === undefined)
        context.addIssue({ code: 'custom', path: ['features', i, 'as'], message: 'a whole view cannot be renamed; name the feature too' });
    }
  });

export type FeatureServiceSpec = z.output<typeof featureServiceSpec>;

/** One feature of a service, with its name in the answer. */
export interface ServiceFeature {
  readonly view: string;
  readonly feature: string;
  readonly name: string;
}

/**
 * The features of a service one by one, in its order.
 * @param featuresOf names of the features of a view; undefined when there is no such view.
 * @returns what is wrong with the service instead, all of it.
 */
export function resolveService(
  { features }: FeatureServiceSpec,
  featuresOf: (view: string) => readonly string[] | undefined,
): { readonly features: ServiceFeature[]; readonly faults: string[] } {
  const faults: string[] = [];
  const resolved = features.flatMap(({ view, feature, as }): ServiceFeature[] => {
    const known = featuresOf(view);
    if (!known) faults.push(`view ${view} is not defined; apply it first or in the same request`);
    else if (feature === undefined) return known.map((one) => ({ view, feature: one, name: one }));
    else if (!known.includes(feature)) faults.push(`view ${view} has no feature ${feature}; it has ${known.join(', ')}`);
    else return [{ view, feature, name: as ?? feature }];
    return [];
  });
  const seen = new Map<string, ServiceFeature>();
  for (const one of resolved) {
    const other = seen.get(one.name);
    if (other)
      faults.push(`${other.view}:${other.feature} and ${one.view}:${one.feature} would both be called ${one.name}; rename one with \`as\``);
    seen.set(one.name, one);
  }
  return { features: resolved, faults };
}
