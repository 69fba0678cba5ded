import { servedFeatures, type ServedFeature } from '@headrace/definitions/served-features';
import type { Definitions } from './derived-features.js';
import type { ModelUse } from './definition-users.js';
import { referencesOf, type FeatureService } from './feature-service.js';
import { isPersonal, readReferences } from './personal.js';
import type { Transform } from './transform.js';
import type { View } from './view.js';

export interface FeatureQuery {
  /** Every word must occur somewhere; case does not matter. */
  readonly text: string;
  readonly tag: string;
  readonly owner: string;
  readonly type: string;
}

/** What a project has, as it stands. */
export interface ProjectDefinitions {
  readonly views: readonly View[];
  readonly transforms: readonly Transform[];
  readonly services: readonly FeatureService[];
}

interface Described {
  readonly name: string;
  readonly description: string;
  readonly owner: string;
  readonly tags: readonly string[];
}

export interface FoundFeature extends Described {
  /** `name` is the reference. */
  readonly view: string;
  readonly viewVersion: number;
  readonly type: ServedFeature['type'];
  readonly pii: boolean;
  readonly isLabel: boolean;
  readonly origin: ServedFeature['origin'] | 'on-demand';
  readonly madeFrom: readonly string[];
}

export interface FoundService extends Described {
  readonly service: FeatureService;
}

/** Best matches first: what is called so, then what has every word in its name, then the rest; by name among equals. */
export function searchFeatures(
  { views, transforms, services }: ProjectDefinitions,
  query: FeatureQuery,
): { readonly features: FoundFeature[]; readonly services: FoundService[] } {
  const features = [
    ...views.flatMap(storedFeatures),
    ...transforms.flatMap((transform) => computedFeatures(transform, { views, transforms })),
  ];
  const chosen = query.type === '' ? services.map(describeService) : [];
  return {
    features: best(
      features.filter(({ type }) => query.type === '' || type === query.type),
      query,
    ),
    services: best(chosen, query),
  };
}

/** By reference: who reads it, such as `FeatureService fraud`. */
export function readersByReference(
  { transforms, services }: Pick<ProjectDefinitions, 'transforms' | 'services'>,
  models: readonly ModelUse[],
): ReadonlyMap<string, readonly string[]> {
  const readers = new Map<string, Set<string>>();
  const add = (reference: string, reader: string): void =>
    void (readers.get(reference) ?? readers.set(reference, new Set()).get(reference)!).add(reader);
  for (const { name, compiled } of transforms) for (const input of compiled.inputs) add(input.reference, `OnDemandView ${name}`);
  for (const service of services) for (const reference of referencesOf(service)) add(reference, `FeatureService ${service.name}`);
  for (const { model, references } of models) for (const reference of references) add(reference, `Model ${model}`);
  return new Map([...readers].map(([reference, names]) => [reference, [...names]]));
}

/** Where the rows of a view come from, in words. The topic and push always work too. */
export function sourceText({ spec: { source } }: Pick<View, 'spec'>): string {
  switch (source?.kind) {
    case undefined:
      return 'topic headrace.features.v1';
    case 'topic':
      return `topic ${source.topic}`;
    case 'push':
      return 'push';
    case 'file':
      return `file ${source.path}`;
    case 'postgres':
      return `postgres ${source.connection}`;
  }
}

/** Definitions by name, as plans want them. */
export function byName({ views, transforms }: Pick<ProjectDefinitions, 'views' | 'transforms'>): Definitions {
  const viewOf = new Map(views.map((view) => [view.name, view]));
  const transformOf = new Map(transforms.map((transform) => [transform.name, transform]));
  return { view: (name) => viewOf.get(name), transform: (name) => transformOf.get(name) };
}

function storedFeatures(view: View): FoundFeature[] {
  const { owner, tags, description: ofView, labels } = view.spec;
  const madeFrom = [sourceText(view)];
  return servedFeatures(view.spec).map(({ name, type, description, pii, origin }) => ({
    ...{ name: `${view.name}:${name}`, view: view.name, viewVersion: view.version, type, pii, origin, madeFrom, owner, tags },
    description: description || ofView,
    isLabel: labels === true,
  }));
}

function computedFeatures(transform: Transform, definitions: Pick<ProjectDefinitions, 'views' | 'transforms'>): FoundFeature[] {
  const { owner, tags = [], description: ofView, features } = transform.spec;
  const known = byName(definitions);
  return features.map(({ name, type, description }) => ({
    ...{ name: `${transform.name}:${name}`, view: transform.name, viewVersion: transform.version, type, origin: 'on-demand', owner, tags },
    description: description || ofView,
    pii: isPersonal(`${transform.name}:${name}`, known),
    isLabel: false,
    madeFrom: readReferences(transform, name),
  }));
}

function describeService(service: FeatureService): FoundService {
  const { owner, tags = [], description } = service.spec;
  return { name: service.name, description, owner, tags, service };
}

function best<T extends Described>(all: readonly T[], { text, tag, owner }: FeatureQuery): T[] {
  const wanted = text.trim().toLowerCase();
  const words = wanted.split(/\s+/).filter(Boolean);
  const ranked = all.flatMap((one) => {
    if ((tag !== '' && !one.tags.includes(tag)) || (owner !== '' && one.owner !== owner)) return [];
    const name = one.name.toLowerCase();
    const everything = [name, one.description, one.owner, ...one.tags].join(' ').toLowerCase();
    if (!words.every((word) => everything.includes(word))) return [];
    const isCalled = name === wanted || name.endsWith(`:${wanted}`);
    return [{ one, rank: isCalled ? 0 : words.every((word) => name.includes(word)) ? 1 : 2 }];
  });
  return ranked.sort((a, b) => a.rank - b.rank || (a.one.name < b.one.name ? -1 : 1)).map(({ one }) => one);
}
