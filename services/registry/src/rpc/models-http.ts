import { Model, Version } from '@headrace/contracts/registry/v1/registry';
import { Controller, Get, Param, Query } from '@nestjs/common';
import { Catalogue } from '../app/catalogue.js';
import { nameOf, projectOf, versionOf } from './fields.js';
import { toModel, toVersion } from '../app/messages.js';

/** The registry as JSON, for curl. */
@Controller('models')
export class ModelsHttp {
  constructor(private readonly catalogue: Catalogue) {}

  @Get()
  async list(@Query('project') project?: string): Promise<unknown> {
    return { models: (await this.catalogue.models(projectOf(project))).map((row) => Model.toJSON(toModel(row))) };
  }

  @Get(':model')
  async model(@Param('model') model: string, @Query('project') project?: string): Promise<unknown> {
    return Model.toJSON(toModel(await this.catalogue.model(projectOf(project), nameOf('model', model))));
  }

  @Get(':model/versions')
  async versions(@Param('model') model: string, @Query('project') project?: string): Promise<unknown> {
    return {
      versions: (await this.catalogue.versions(projectOf(project), nameOf('model', model))).map((row) => Version.toJSON(toVersion(row))),
    };
  }

  /** A number, or an alias. */
  @Get(':model/versions/:version')
  async version(@Param('model') model: string, @Param('version') version: string, @Query('project') project?: string): Promise<unknown> {
    const name = nameOf('model', model);
    if (!/^\d+$/.test(version)) return Version.toJSON(toVersion(await this.catalogue.versionByAlias(projectOf(project), name, version)));
    return Version.toJSON(toVersion(await this.catalogue.version(projectOf(project), name, versionOf(Number(version)))));
  }
}
