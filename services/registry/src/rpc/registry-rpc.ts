import type { ApplyRequest, ApplyResponse } from '@headrace/contracts/features/v1/features';
import type {
  GetModelRequest,
  GetVersionRequest,
  ListModelsRequest,
  ListModelsResponse,
  ListVersionsRequest,
  ListVersionsResponse,
  Model,
  RegisterVersionRequest,
  RegistryDefinition,
  SetAliasRequest,
  Version,
} from '@headrace/contracts/registry/v1/registry';
import type { CallContext, Implementation } from '@headrace/platform/grpc/server';
import { Injectable } from '@nestjs/common';
import { ApplyModels } from '../app/apply-models.js';
import { Catalogue } from '../app/catalogue.js';
import { RegisterVersion } from '../app/register-version.js';
import { SetAlias } from '../app/set-alias.js';
import { isAliasName } from '../domain/aliases.js';
import { requestInvalid } from '../errors.js';
import { nameOf, projectOf, sha256Of, textOf, versionOf } from './fields.js';
import { toModel, toVersion } from '../app/messages.js';

const RUN_ID_LENGTH_MAX = 200;
const REASON_LENGTH_MAX = 2000;

@Injectable()
export class RegistryRpc implements Implementation<typeof RegistryDefinition> {
  constructor(
    private readonly models: ApplyModels,
    private readonly versions: RegisterVersion,
    private readonly aliases: SetAlias,
    private readonly catalogue: Catalogue,
  ) {}

  async applyModel(request: ApplyRequest, call: CallContext): Promise<ApplyResponse> {
    return { applied: await this.models.apply(projectOf(request.project), request, call.principal.name) };
  }

  async getModel(request: GetModelRequest): Promise<Model> {
    return toModel(await this.catalogue.model(projectOf(request.project), nameOf('model', request.model)));
  }

  async listModels(request: ListModelsRequest): Promise<ListModelsResponse> {
    return { models: (await this.catalogue.models(projectOf(request.project))).map(toModel) };
  }

  async registerVersion(request: RegisterVersionRequest, call: CallContext): Promise<Version> {
    nameOf('model', request.model);
    sha256Of(request.artifactSha256);
    textOf('run_id', request.runId, RUN_ID_LENGTH_MAX);
    return toVersion(await this.versions.register(projectOf(request.project), request, call.principal.name));
  }

  async getVersion(request: GetVersionRequest): Promise<Version> {
    const project = projectOf(request.project);
    const model = nameOf('model', request.model);
    if (request.alias) return toVersion(await this.catalogue.versionByAlias(project, model, request.alias));
    return toVersion(await this.catalogue.version(project, model, versionOf(request.version)));
  }

  async listVersions(request: ListVersionsRequest): Promise<ListVersionsResponse> {
    return { versions: (await this.catalogue.versions(projectOf(request.project), nameOf('model', request.model))).map(toVersion) };
  }

  async setAlias(request: SetAliasRequest, call: CallContext): Promise<Version> {
    if (!isAliasName(request.alias))
      throw requestInvalid('alias', `${JSON.stringify(request.alias.slice(0, 80))} must be a name, and neither \`latest\` nor like \`v7\``);
    const row = await this.aliases.set({
      project: projectOf(request.project),
      model: nameOf('model', request.model),
      alias: request.alias,
      version: versionOf(request.version),
      reason: request.reason ? textOf('reason', request.reason, REASON_LENGTH_MAX) : '',
      actor: call.principal.name,
    });
    return toVersion(row);
  }
}
