import { featureRowsPublished } from '@headrace/events/catalog';
import { subscribe, type Subscription } from '@headrace/platform/kafka/runner';
import type { Config } from '../config.js';
import { OnFeatureRows } from './on-feature-rows.js';

/** What this service hears: rows, in the order of their partitions, in large batches. */
export function subscriptions(onFeatureRows: OnFeatureRows, config: Pick<Config, 'ingestBatchEvents'>): Subscription[] {
  return [subscribe(featureRowsPublished, { group: 'feature-store', batchMax: config.ingestBatchEvents, handle: (batch) => onFeatureRows.handle(batch) })];
}
