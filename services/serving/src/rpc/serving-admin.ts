import { DEFAULT_PROJECT } from '@headrace/base/ids';
import {
  LoadState,
  type DescribeVersionRequest,
  type GetRouteRequest,
  type GetStatisticsRequest,
  type GetStatisticsResponse,
  type ListLoadedRequest,
  type ListLoadedResponse,
  type LoadedVersion,
  type LoadVersionRequest,
  type Route,
  type ServingAdminDefinition,
  type SetRouteRequest,
  type VersionDescription,
} from '@headrace/contracts/serving/v1/serving';
import type { Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { PinnedLoads } from '../app/load-pinned.js';
import { RouteChanges } from '../app/set-route.js';
import { StatisticsReport } from '../app/statistics-report.js';
import { ModelHost } from '../app/model-host.js';
import type { LoadState as State } from '../domain/load-state.js';
import type { ServedModel } from '../domain/predict-job.js';
import { requestInvalid } from '../errors.js';
import { descriptionMessage, policyOf, routeMessage } from './messages.js';

const STATES: Readonly<Record<State, LoadState>> = {
  pending: LoadState.PENDING,
  loading: LoadState.LOADING,
  standby: LoadState.STANDBY,
  loaded: LoadState.LOADED,
  draining: LoadState.DRAINING,
  unloaded: LoadState.UNLOADED,
  failed: LoadState.FAILED,
};

/** Of a reason, in characters. */
const REASON_MAX = 500;

@Injectable()
export class ServingAdmin implements Implementation<typeof ServingAdminDefinition> {
  constructor(
    private readonly host: ModelHost,
    private readonly pinned: PinnedLoads,
    private readonly routes: RouteChanges,
    private readonly statistics: StatisticsReport,
  ) {}

  listLoaded({ project }: ListLoadedRequest): Promise<ListLoadedResponse> {
    return Promise.resolve({ loaded: this.host.list(project).map((model) => this.#message(model)) });
  }

  async loadVersion({ project, model, version }: LoadVersionRequest): Promise<LoadedVersion> {
    if (model === '') throw requestInvalid('model', 'is empty; name the model');
    if (version === 0) throw requestInvalid('version', 'is 0; name the version, from 1');
    return this.#message(await this.pinned.load(project || DEFAULT_PROJECT, model, version));
  }

  async setRoute({ route, reason }: SetRouteRequest): Promise<Route> {
    if (!route || route.model === '') throw requestInvalid('route.model', 'is empty; name the model');
    if (reason.length > REASON_MAX) throw requestInvalid('reason', `has ${reason.length} characters; at most ${REASON_MAX} are taken`);
    const project = route.project || DEFAULT_PROJECT;
    return routeMessage(project, route.model, await this.routes.set(project, route.model, policyOf(route), reason));
  }

  async getRoute({ project, model }: GetRouteRequest): Promise<Route> {
    if (model === '') throw requestInvalid('model', 'is empty; name the model');
    return Promise.resolve(routeMessage(project || DEFAULT_PROJECT, model, this.host.routesOf(project || DEFAULT_PROJECT, model)));
  }

  getStatistics({ project, model }: GetStatisticsRequest): Promise<GetStatisticsResponse> {
    return this.statistics.of(project, model);
  }

  async describeVersion({ project, model, version }: DescribeVersionRequest): Promise<VersionDescription> {
    if (model === '') throw requestInvalid('model', 'is empty; name the model');
    const { description, outputs, logRules } = this.host.describe(project || DEFAULT_PROJECT, model, version);
    return Promise.resolve(descriptionMessage(description, outputs, logRules));
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
