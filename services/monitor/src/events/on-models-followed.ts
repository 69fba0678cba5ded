import { NAME_PATTERN } from '@headrace/base/ids';
import type { ModelChanged, RolloutChanged, TrainingRequested, TrainingRunChanged } from '@headrace/contracts/events/v1/events';
import type { Received, Verdict } from '@headrace/platform/kafka/runner';
import { Injectable } from '@nestjs/common';
import { FollowModels } from '../app/follow-models.js';

/** Facts of the other services about a model; each handler is idempotent by the row that it writes. */
@Injectable()
export class OnModelsFollowed {
  constructor(private readonly models: FollowModels) {}

  /** However many events came, each model is asked for once. */
  async modelChanged(events: readonly Received<ModelChanged>[]): Promise<Verdict[]> {
    const known = new Map<string, boolean>();
    for (const { event } of events) {
      const key = `${event.project}/${event.model}`;
      if (named(event) && !known.has(key)) known.set(key, await this.models.modelChanged(event.project, event.model));
    }
    return events.map(({ event }) =>
      known.get(`${event.project}/${event.model}`) ? DONE : { kind: 'skipped', reason: 'the registry has no such model' },
    );
  }

  rolloutChanged(events: readonly Received<RolloutChanged>[]): Promise<Verdict[]> {
    return inOrder(events, async ({ event }) => named(event) && (await this.models.rolloutChanged(event)));
  }

  trainingRequested(events: readonly Received<TrainingRequested>[]): Promise<Verdict[]> {
    return inOrder(events, async ({ event, timeMs }) => named(event) && (await this.models.trainingRequested(event, timeMs)));
  }

  runChanged(events: readonly Received<TrainingRunChanged>[]): Promise<Verdict[]> {
    return inOrder(
      events,
      async ({ event, timeMs }) => event.run !== undefined && named(event.run) && (await this.models.runChanged(event, timeMs)),
    );
  }
}

const DONE: Verdict = { kind: 'done' };

async function inOrder<T>(events: readonly T[], handle: (event: T) => Promise<boolean>): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const event of events)
    verdicts.push((await handle(event)) ? DONE : { kind: 'skipped', reason: 'nothing in it concerns the monitor' });
  return verdicts;
}

const named = ({ project, model }: { readonly project: string; readonly model: string }): boolean =>
  NAME_PATTERN.test(project) && NAME_PATTERN.test(model);
