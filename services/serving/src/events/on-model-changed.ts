import type { ModelChanged } from '@headrace/contracts/events/v1/events';
import { causeOf } from '@headrace/platform/kafka/cause';
import type { Received, Verdict } from '@headrace/platform/kafka/runner';
import { Injectable } from '@nestjs/common';
import { RegistryFollower } from '../app/follow-registry.js';

/**
 * Hears which version became champion, and that a model was defined anew. The event only wakes the follower, which asks the registry: so the handler returns at
 * once, a load never holds the partition up, and an event that comes twice, late or not at all changes nothing.
 */
@Injectable()
export class OnModelChanged {
  constructor(private readonly follower: RegistryFollower) {}

  handle(batch: readonly Received<ModelChanged>[]): Promise<Verdict[]> {
    return Promise.resolve(
      batch.map((received): Verdict => {
        const { project, model, version, change } = received.event;
        if (change?.$case === 'defined') {
          this.follower.redefined(project, model);
          return { kind: 'done' };
        }
        if (change?.$case !== 'aliasSet' || change.value.alias !== 'champion')
          return { kind: 'skipped', reason: 'neither a change of the champion nor a definition' };
        this.follower.noticed(project, model, version, causeOf(received));
        return { kind: 'done' };
      }),
    );
  }
}
