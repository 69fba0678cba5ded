import { AppError } from '@headrace/base/errors';
import type { Siblings } from '@headrace/platform/processes/siblings';
import type { RegistryFollower } from './follow-registry.js';
import type { PinnedLoads } from './load-pinned.js';
import type { ModelHost } from './model-host.js';

const LOAD = 'repository-load';
const UNLOAD = 'repository-unload';
/** Fetching and opening a large model; the caller's own deadline may be shorter. */
const SIBLING_TIMEOUT_MS = 120_000;

interface Named {
  readonly project: string;
  readonly model: string;
}

/**
 * What a caller of the repository extension orders for the process that it reached: done in every process behind the port before it is answered,
 * because the next request may come to any of them.
 */
export class RepositoryOrders {
  constructor(
    private readonly host: ModelHost,
    private readonly follower: RegistryFollower,
    private readonly pinned: PinnedLoads,
    private readonly siblings: Siblings,
  ) {
    siblings.on<Named>(LOAD, ({ project, model }) => follower.loadChampion(project, model));
    siblings.on<Named>(UNLOAD, ({ project, model }) => host.unload(project, model));
  }

  /** @param version 0 = the registry's champion; another = that version beside it. @throws AppError what a load throws, DEPENDENCY_UNAVAILABLE */
  async load(project: string, model: string, version: number): Promise<void> {
    if (version > 0) return void (await this.pinned.load(project, model, version));
    await this.follower.loadChampion(project, model);
    await this.#everywhere(LOAD, { project, model });
  }

  /** @throws AppError MODEL_NOT_LOADED, DEPENDENCY_UNAVAILABLE */
  async unload(project: string, model: string): Promise<void> {
    // To order it twice is no mistake.
    if (!this.host.isHeldOut(project, model) && !this.host.isServed(project, model))
      throw new AppError('MODEL_NOT_LOADED', `no version of model ${model} is served here (project ${project})`, { details: { model } });
    await this.host.unload(project, model);
    await this.#everywhere(UNLOAD, { project, model });
  }

  async #everywhere(topic: string, named: Named): Promise<void> {
    for (const answer of await this.siblings.ask(topic, named, SIBLING_TIMEOUT_MS))
      if (!answer.ok)
        throw new AppError(
          'DEPENDENCY_UNAVAILABLE',
          `the order for ${named.model} is done here, and not in another process behind this port: ${answer.error}; ask again`,
        );
  }
}
