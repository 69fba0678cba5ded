import { Injectable } from '@nestjs/common';
import { AppError, messageOf } from '@headrace/base/errors';
import { Log } from '@headrace/platform/log';
import { lineageOf, type Lineage, type ModelLineage } from '../domain/lineage.js';
import { LineageStore } from '../io/lineage-store.js';
import { ModelUses } from '../io/model-uses.js';
import { ViewCatalogue } from './view-catalogue.js';

/** From the source of a value to the model versions that were trained on it. */
@Injectable()
export class ReadLineage {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly modelUses: ModelUses,
    private readonly store: LineageStore,
    private readonly log: Log,
  ) {}

  /** @param of as `lineageOf` has it. @throws AppError REQUEST_INVALID */
  async read(project: string, of: string): Promise<Lineage & { readonly modelsKnown: boolean }> {
    const definitions = (await this.catalogue.newest()).ofProject(project);
    const models = await this.#models(project);
    const hashes = (models ?? []).flatMap(({ versions }) => versions.map(({ trainingSet }) => trainingSet)).filter(Boolean);
    const trainingSets = await this.store.trainingSets(project, [...new Set(hashes)]);
    return { ...lineageOf({ definitions, models: models ?? [], trainingSets }, of), modelsKnown: models !== undefined };
  }

  async #models(project: string): Promise<ModelLineage[] | undefined> {
    try {
      return await this.modelUses.withVersions(project);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.log.warn('the registry cannot be asked for models and versions; lineage goes on without them', { error: messageOf(error) });
      return undefined;
    }
  }
}
