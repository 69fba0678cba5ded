import type {
  CatalogueFeature,
  CatalogueService,
  ExplainValueRequest,
  ExplainValueResponse,
  FeatureCatalogueDefinition,
  GetLineageRequest,
  Lineage,
  SearchFeaturesRequest,
  SearchFeaturesResponse,
} from '@headrace/contracts/features/v1/catalogue';
import type { Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { ExplainValue } from '../app/explain-value.js';
import { ReadLineage } from '../app/read-lineage.js';
import { SearchFeatures, type ListedFeature, type SearchResult } from '../app/search-features.js';
import { referencesOf } from '../domain/feature-service.js';
import { requestInvalid } from '../errors.js';
import { toExplanation } from './explanation-messages.js';
import { instantOf, projectOf } from './fields.js';

const FOUND_DEFAULT = 100;
const FOUND_MAX = 1_000;

/** The catalogue's door. */
@Injectable()
export class CatalogueRpc implements Implementation<typeof FeatureCatalogueDefinition> {
  constructor(
    private readonly features: SearchFeatures,
    private readonly lineage: ReadLineage,
    private readonly values: ExplainValue,
  ) {}

  async searchFeatures({ project, limit, ...query }: SearchFeaturesRequest): Promise<SearchFeaturesResponse> {
    if (limit > FOUND_MAX) throw requestInvalid(`\`limit\` is ${limit}; at most ${FOUND_MAX} are listed, so make the search narrower`);
    const { features, services, ...rest } = await this.features.search(projectOf(project), query, limit || FOUND_DEFAULT);
    return { ...rest, features: features.map(toFeature), services: services.map(toService) };
  }

  async getLineage({ project, of }: GetLineageRequest): Promise<Lineage> {
    const { nodes, edges, modelsKnown } = await this.lineage.read(projectOf(project), of);
    return { nodes: [...nodes], edges: edges.map((edge) => ({ ...edge, features: [...edge.features] })), modelsKnown };
  }

  async explainValue({ project, feature, entity, at, asOf, request }: ExplainValueRequest): Promise<ExplainValueResponse> {
    const explanation = await this.values.explain({
      project: projectOf(project),
      feature,
      entity,
      atMs: at && instantOf('at', at),
      asOfMs: asOf && instantOf('as_of', asOf),
      request: request ?? {},
    });
    return toExplanation(explanation);
  }
}

function toFeature({ name, view: _view, tags, madeFrom, readBy, samples, ...rest }: ListedFeature): CatalogueFeature {
  return { ...rest, reference: name, tags: [...tags], madeFrom: [...madeFrom], readBy: [...readBy], samples: [...samples] };
}

function toService({ service, name, description, owner, tags, usage }: SearchResult['services'][number]): CatalogueService {
  const { version, faults } = service;
  return { name, description, owner, tags: [...tags], version, references: referencesOf(service), faults: [...faults], usage };
}
