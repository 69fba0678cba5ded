import { Injectable } from '@nestjs/common';
import type { View } from '../domain/view.js';
import { DefinitionStore } from '../io/definition-store.js';
import { ViewCatalogue } from './view-catalogue.js';

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
