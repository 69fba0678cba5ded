import { Injectable } from '@nestjs/common';
import { splitReference } from '@headrace/definitions/reference';
import { readersByReference, searchFeatures, type FeatureQuery, type FoundFeature, type FoundService } from '../domain/feature-search.js';
import { UNUSED, type Usage } from '../io/usage-store.js';
import { FeatureFacts } from './feature-facts.js';
import { ViewCatalogue, type Views } from './view-catalogue.js';

export interface ListedFeature extends FoundFeature {
  readonly readBy: readonly string[];
  readonly usage: Usage;
  readonly samples: readonly string[];
}

export interface SearchResult {
  readonly features: readonly ListedFeature[];
  readonly services: readonly (FoundService & { readonly usage: Usage })[];
  readonly featuresFound: number;
  readonly servicesFound: number;
  readonly modelsKnown: boolean;
}

/** Values are shown of so many features; further down the list of none. */
const SAMPLED_MAX = 20;

/** What features there are, who makes them and who reads them. */
@Injectable()
export class SearchFeatures {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly facts: FeatureFacts,
  ) {}

  async search(project: string, query: FeatureQuery, limit: number): Promise<SearchResult> {
    const views = await this.catalogue.newest();
    const definitions = views.ofProject(project);
    const found = searchFeatures(definitions, query);
    const models = await this.facts.models(project);
    const usage = await this.facts.usage(project);
    const readers = readersByReference(definitions, models ?? []);
    const features: ListedFeature[] = [];
    for (const [i, feature] of found.features.slice(0, limit).entries())
      features.push({
        ...feature,
        readBy: readers.get(feature.name) ?? [],
        usage: usage.get(`view ${feature.view}`) ?? UNUSED,
        samples: i < SAMPLED_MAX ? await this.#samples(project, feature, views) : [],
      });
    const services = found.services.slice(0, limit).map((one) => ({ ...one, usage: usage.get(`service ${one.name}`) ?? UNUSED }));
    return {
      features,
      services,
      featuresFound: found.features.length,
      servicesFound: found.services.length,
      modelsKnown: models !== undefined,
    };
  }

  /** Of a personal feature nothing is even read. */
  async #samples(project: string, { name, origin, pii }: FoundFeature, views: Views): Promise<string[]> {
    if (pii || origin !== 'stored') return [];
    const { view, feature } = splitReference(name);
    return this.facts.samples(views.get(project, view), feature);
  }
}
