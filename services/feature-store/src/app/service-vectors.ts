import { Injectable } from '@nestjs/common';
import { Log } from '@headrace/platform/log';
import type { ServiceVector } from '../domain/service-vector.js';
import type { View } from '../domain/view.js';
import { VectorStore, type VectorPlace } from '../io/vector-store.js';
import { ViewCatalogue } from './view-catalogue.js';

/**
 * Keeps the vectors of precomputed feature services equal to the rows that they are made of. Each write of rows ends here, with the services
 * as they are defined by then; and vectors of a service that is applied later are made after that. So whichever comes
 * first, none is left behind, and repeating anything changes nothing.
 */
@Injectable()
export class ServiceVectors {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly store: VectorStore,
    private readonly log: Log,
  ) {}

  /** After rows of these entities were written or removed. */
  async refresh(view: View, entityKeys: readonly string[]): Promise<void> {
    if (entityKeys.length === 0) return;
    const views = await this.catalogue.newest();
    for (const vector of views.vectorsWith(view)) await this.store.refresh(vector, entityKeys);
  }

  /** Makes the vectors of services that are new or have changed, and removes those that are not wanted any more. */
  async makeStale(signal: AbortSignal): Promise<void> {
    const { vectors } = await this.catalogue.newest();
    const made = await this.store.made();
    for (const vector of vectors) {
      const name = nameOf(vector);
      const known = made.get(name);
      made.delete(name);
      if (known?.version === vector.version) continue;
      if (known && known.entity !== vector.entity) await this.store.remove(known, signal);
      await this.#make(vector, signal);
    }
    for (const unwanted of made.values()) await this.store.remove(unwanted, signal);
  }

  async #make(vector: ServiceVector, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    let entities = 0;
    for (const view of vector.views) {
      for await (const entityKeys of this.store.entities(vector, view)) {
        signal.throwIfAborted();
        await this.store.refresh(vector, entityKeys);
        entities += entityKeys.length;
      }
    }
    await this.store.setMade(vector);
    const seconds = (performance.now() - startedAt) / 1000;
    this.log.info('vectors of a feature service made', { service: nameOf(vector), version: vector.version, rows: entities, seconds });
  }
}

function nameOf({ project, service }: VectorPlace): string {
  return `${project}/${service}`;
}
