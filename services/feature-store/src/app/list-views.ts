import { Injectable } from '@nestjs/common';
import { featureReference } from '@headrace/definitions/reference';
import { byName } from '../domain/feature-search.js';
import { personalAmong } from '../domain/personal.js';
import type { View } from '../domain/view.js';
import { requestInvalid } from '../errors.js';
import { DefinitionStore } from '../io/definition-store.js';
import { ViewCatalogue } from './view-catalogue.js';

const REFERENCES_MAX = 10_000;

export interface ListedView {
  readonly view: View;
  readonly offlineRows: number;
}

@Injectable()
export class ListViews {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly definitions: DefinitionStore,
  ) {}

  async find(project: string, name: string): Promise<View | undefined> {
    return (await this.catalogue.newest()).find(project, name);
  }

  /** Those of the references whose values are personal. @throws AppError REQUEST_INVALID for what is no reference, or too many */
  async personalAmong(project: string, references: readonly string[]): Promise<string[]> {
    if (references.length > REFERENCES_MAX)
      throw requestInvalid(`\`references\` has ${references.length} entries; at most ${REFERENCES_MAX} are taken`);
    const wrong = references.find((reference) => !featureReference.safeParse(reference).success);
    if (wrong !== undefined) throw requestInvalid(`${JSON.stringify(wrong)} is no reference \`view:feature\``);
    const views = await this.catalogue.newest();
    return personalAmong(references, byName(views.ofProject(project)));
  }

  /** The project's views by name, as they stand now. */
  async list(project: string): Promise<ListedView[]> {
    const { all } = await this.catalogue.newest();
    const rows = await this.definitions.offlineRows(project);
    return all
      .filter((view) => view.project === project)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((view) => ({ view, offlineRows: rows.get(view.name) ?? 0 }));
  }
}
