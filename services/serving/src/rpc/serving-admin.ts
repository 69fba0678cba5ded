import { DEFAULT_PROJECT } from '@headrace/base/ids';
import {
  LoadState,
  type DescribeVersionRequest,
  type GetStatisticsRequest,
  type GetStatisticsResponse,
  type ListLoadedRequest,
  type ListLoadedResponse,
  type LoadedVersion,
  type LoadVersionRequest,
  type ServingAdminDefinition,
  type VersionDescription,
} from '@headrace/contracts/serving/v1/serving';
import type { Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { PinnedLoads } from '../app/load-pinned.js';
import { ModelHost } from '../app/model-host.js';
import type { LoadState as State } from '../domain/load-state.js';
import { StatisticsBook } from '../domain/model-statistics.js';
import type { ServedModel } from '../domain/predict-job.js';
import { requestInvalid } from '../errors.js';
import { descriptionMessage, statisticsMessage } from './messages.js';

const STATES: Readonly<Record<State, LoadState>> = {
  pending: LoadState.PENDING,
  loading: LoadState.LOADING,
  standby: LoadState.STANDBY,
  loaded: LoadState.LOADED,
  draining: LoadState.DRAINING,
  unloaded: LoadState.UNLOADED,
  failed: LoadState.FAILED,
};

@Injectable()
export class ServingAdmin implements Implementation<typeof ServingAdminDefinition> {
  constructor(
    private readonly host: ModelHost,
    private readonly pinned: PinnedLoads,
    private readonly statistics: StatisticsBook,
  ) {}

  listLoaded({ project }: ListLoadedRequest): Promise<ListLoadedResponse> {
    return Promise.resolve({ loaded: this.host.list(project).map((model) => this.#message(model)) });
  }

  async loadVersion({ project, model, version }: LoadVersionRequest): Promise<LoadedVersion> {
    if (model === '') throw requestInvalid('model', 'is empty; name the model');
    if (version === 0) throw requestInvalid('version', 'is 0; name the version, from 1');
    return this.#message(await this.pinned.load(project || DEFAULT_PROJECT, model, version));
  }

  getStatistics({ project, model }: GetStatisticsRequest): Promise<GetStatisticsResponse> {
    return Promise.resolve({ versions: this.statistics.list(project, model).map(statisticsMessage) });
  }

  async describeVersion({ project, model, version }: DescribeVersionRequest): Promise<VersionDescription> {
    if (model === '') throw requestInvalid('model', 'is empty; name the model');
    return Promise.resolve(descriptionMessage(this.host.describe(project || DEFAULT_PROJECT, model, version)));
  }

  #message(model: ServedModel): LoadedVersion {
    return {
      project: model.project,
      model: model.model,
      version: model.version,
      state: STATES[model.state],
      failure: model.failure,
      artifactSha256: model.artifactSha256,
      answered: model.statistics.rows,
      loadedAt: model.loadedAtMs > 0 ? new Date(model.loadedAtMs) : undefined,
      champion: this.host.isChampion(model),
    };
  }
}
