import { AppError } from '@headrace/base/errors';
import type { Siblings } from '@headrace/platform/processes/siblings';
import type { ServedModel } from '../domain/predict-job.js';
import type { RoutePolicy } from '../domain/route-policy.js';
import type { ModelRoutes } from '../domain/routing-table.js';
import type { ModelHost } from './model-host.js';

const TOPIC = 'set-route';
/** A change waits for a load of its model that is under way. */
const SIBLING_TIMEOUT_MS = 120_000;

interface Wanted {
  readonly project: string;
  readonly model: string;
  readonly policy: RoutePolicy;
  readonly reason: string;
}

/** Who answers requests for a model, in every process behind the port: the caller hears of it when all of them route so. */
export class RouteChanges {
  constructor(
    private readonly host: ModelHost,
    private readonly siblings: Siblings,
  ) {
    siblings.on<Wanted>(TOPIC, async ({ project, model, policy, reason }) => void (await host.setPolicy(project, model, policy, reason)));
  }

  /** @throws AppError MODEL_NOT_LOADED, VERSION_UNKNOWN, REQUEST_INVALID; DEPENDENCY_UNAVAILABLE when another process did not take it. */
  async set(project: string, model: string, policy: RoutePolicy, reason: string): Promise<ModelRoutes<ServedModel>> {
    const routes = await this.host.setPolicy(project, model, policy, reason);
    const answers = await this.siblings.ask(TOPIC, { project, model, policy, reason } satisfies Wanted, SIBLING_TIMEOUT_MS);
    for (const answer of answers)
      if (!answer.ok)
        throw new AppError(
          'DEPENDENCY_UNAVAILABLE',
          `the route of ${model} is set here, and not in another process behind this port: ${answer.error}; set it again`,
        );
    return routes;
  }
}
