import { modelChanged } from '@headrace/events/catalog';
import { subscribe, type Subscription } from '@headrace/platform/kafka/runner';
import type { Config } from '../config.js';
import type { OnModelChanged } from './on-model-changed.js';

/** Every process needs every event, so each is its own group. It begins at the end: the registry has told the rest. */
export function subscriptions(onModelChanged: OnModelChanged, config: Pick<Config, 'instance'>): Subscription[] {
  return [
    subscribe(modelChanged, { group: `serving-${config.instance}`, from: 'latest', handle: (batch) => onModelChanged.handle(batch) }),
  ];
}
