import { Postgres } from '@headrace/platform/postgres/postgres';
import { Injectable } from '@nestjs/common';
import { modelUnknown, versionUnknown } from '../errors.js';
import { listModels, readModel, type ModelRow } from '../io/models.js';
import { listVersions, readVersion, readVersionByAlias, type VersionRow } from '../io/versions.js';

/** What the registry knows, for both kinds of door. Throws MODEL_UNKNOWN before VERSION_UNKNOWN. */
@Injectable()
export class Catalogue {
  constructor(private readonly postgres: Postgres) {}

  async model(project: string, model: string): Promise<ModelRow> {
    const row = await readModel(this.postgres, project, model);
    if (!row) throw modelUnknown(project, model);
    return row;
  }

  models(project: string): Promise<ModelRow[]> {
    return listModels(this.postgres, project);
  }

  async version(project: string, model: string, version: number): Promise<VersionRow> {
    const row = await readVersion(this.postgres, project, model, version);
    return row ?? (await this.#missing(project, model, String(version)));
  }

  async versionByAlias(project: string, model: string, alias: string): Promise<VersionRow> {
    const row = await readVersionByAlias(this.postgres, project, model, alias);
    return row ?? (await this.#missing(project, model, `with the alias ${JSON.stringify(alias.slice(0, 80))}`));
  }

  /** Newest first. */
  async versions(project: string, model: string): Promise<VersionRow[]> {
    await this.model(project, model);
    return listVersions(this.postgres, project, model);
  }

  async #missing(project: string, model: string, which: string): Promise<never> {
    await this.model(project, model);
    throw versionUnknown(model, which);
  }
}
