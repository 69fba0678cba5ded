import { subscribe, type Subscription } from '@headrace/platform/kafka/runner';
import type { Config } from '../config.js';
import { featureRowsEvent } from './feature-rows-event.js';
import type { OnFeatureRows } from './on-feature-rows.js';

/** What this service hears: rows, in the order of their partitions, in large batches. */
export function subscriptions(onFeatureRows: OnFeatureRows, config: Pick<Config, 'ingestBatchEvents'>): Subscription[] {
  return [
    subscribe(featureRowsEvent, {
      group: 'feature-store',
      batchMax: config.ingestBatchEvents,
      handle: (batch) => onFeatureRows.handle(batch),
    }),
  ];
}
