import type {
  ApplyRequest,
  ApplyResponse,
  BuildTrainingSetRequest,
  FeatureStoreDefinition,
  GetOnlineFeaturesRequest,
  GetOnlineFeaturesResponse,
  GetTrainingSetRequest,
  ListPersonalFeaturesRequest,
  ListPersonalFeaturesResponse,
  ListViewsRequest,
  ListViewsResponse,
  PublishRowsRequest,
  PublishRowsResponse,
  RebuildOnlineRequest,
  RebuildOnlineResponse,
  TrainingSet,
} from '@headrace/contracts/features/v1/features';
import type { CallContext, Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { ApplyDefinitions } from '../app/apply-definitions.js';
import { BuildTrainingSet } from '../app/build-training-set.js';

import { ListViews } from '../app/list-views.js';
import { PushRows } from '../app/push-rows.js';
import { ReadFeatures } from '../app/read-features.js';
import { RebuildOnline } from '../app/rebuild-online.js';
import { instantOf, projectOf } from './fields.js';
import { destinationOf, toApplied, toDocument, toPublished, toTrainingSet, toVector, toView } from './messages.js';

/** The gRPC door: reads the request, calls one use case, words the answer. */
@Injectable()
export class FeatureStoreRpc implements Implementation<typeof FeatureStoreDefinition> {
  constructor(
    private readonly definitions: ApplyDefinitions,
    private readonly views: ListViews,
    private readonly rows: PushRows,
    private readonly online: ReadFeatures,
    private readonly trainingSets: BuildTrainingSet,
    private readonly rebuild: RebuildOnline,
  ) {}

  async apply({ project, definitions, dryRun, allowBreaking }: ApplyRequest): Promise<ApplyResponse> {
    const changes = await this.definitions.apply(definitions.map(toDocument), { project: projectOf(project), dryRun, allowBreaking });
    return { applied: changes.map(toApplied) };
  }

  async listViews({ project }: ListViewsRequest): Promise<ListViewsResponse> {
    return { views: (await this.views.list(projectOf(project))).map(toView) };
  }

  async listPersonalFeatures({ project, references }: ListPersonalFeaturesRequest): Promise<ListPersonalFeaturesResponse> {
    return { references: await this.views.personalAmong(projectOf(project), references) };
  }

  async publishRows({ project, view, rows, to }: PublishRowsRequest): Promise<PublishRowsResponse> {
    return toPublished(await this.rows.push({ project: projectOf(project), view, rows, to: destinationOf(to) }));
  }

  async getOnlineFeatures(request: GetOnlineFeaturesRequest): Promise<GetOnlineFeaturesResponse> {
    const { features, featureService, entities } = request;
    const { names, vectors } = await this.online.get({
      project: projectOf(request.project),
      features,
      featureService,
      entities: entities.map((e) => e.keys),
      request: entities.map((e) => e.request ?? {}),
    });
    return { names: featureService ? [...names] : [], vectors: vectors.map(toVector) };
  }

  async buildTrainingSet(request: BuildTrainingSetRequest, call: CallContext): Promise<TrainingSet> {
    const record = await this.trainingSets.build(
      {
        project: projectOf(request.project),
        labelView: request.labelView,
        labelFeature: request.labelFeature,
        features: request.features,
        featureService: request.featureService,
        fromMs: instantOf('from', request.from),
        toMs: instantOf('to', request.to),
        asOfMs: request.asOf && instantOf('as_of', request.asOf),
      },
      call.signal,
    );
    return toTrainingSet(record);
  }

  async getTrainingSet({ project, hash }: GetTrainingSetRequest): Promise<TrainingSet> {
    return toTrainingSet(await this.trainingSets.find(projectOf(project), hash));
  }

  async rebuildOnline({ project, view, resume }: RebuildOnlineRequest, call?: CallContext): Promise<RebuildOnlineResponse> {
    return { views: await this.rebuild.rebuild(projectOf(project), view, { resume, signal: call?.signal }) };
  }
}
