import { AppError } from '@headrace/base/errors';
import type { Siblings } from '@headrace/platform/processes/siblings';
import type { ServedModel } from '../domain/predict-job.js';
import type { RegistryFollower } from './follow-registry.js';

const TOPIC = 'load-version';
/** Fetching and opening a large model; the caller's own deadline may be shorter. */
const SIBLING_TIMEOUT_MS = 120_000;

interface Wanted {
  readonly project: string;
  readonly model: string;
  readonly version: number;
}

/**
 * A version beside the champion, asked for by its number. Every process behind the port loads it before the caller hears that it is there,
 * because the next request may come to any of them.
 */
export class PinnedLoads {
  constructor(
    private readonly follower: RegistryFollower,
    private readonly siblings: Siblings,
  ) {
    siblings.on<Wanted>(TOPIC, async ({ project, model, version }) => void (await follower.loadPinned(project, model, version)));
  }

  /** @throws AppError VERSION_NOT_BLESSED, what a load throws, DEPENDENCY_UNAVAILABLE when another process could not load it. */
  async load(project: string, model: string, version: number): Promise<ServedModel> {
    const loaded = await this.follower.loadPinned(project, model, version);
    const answers = await this.siblings.ask(TOPIC, { project, model, version } satisfies Wanted, SIBLING_TIMEOUT_MS);
    for (const answer of answers)
      if (!answer.ok)
        throw new AppError(
          'DEPENDENCY_UNAVAILABLE',
          `version ${version} of ${model} is loaded here, and not in another process behind this port: ${answer.error}; ask again`,
        );
    return loaded;
  }
}
