import { featureRowsPublished } from '@headrace/events/catalog';
import type { Connections } from './connect.js';
import { STALL_TIMEOUT_MS, until } from './until.js';

/** Consumer group of the feature store; its offset moves when rows stand in both stores. */
const FEATURE_STORE_GROUP = 'feature-store';

/** Slower than a thousand rows a second is no ingest to wait for. */
const MS_PER_ROW_MAX = 1;

/** Waits until the project has so many rows offline, and all that was published is online as well. @returns the rows. */
export async function stored(site: Connections, expected: number, onProgress: (rows: number) => void = () => undefined): Promise<number> {
  const rows = await until(
    `${expected} rows in the offline store`,
    async () => {
      const now = await site.offlineRows();
      onProgress(now);
      return now >= expected && now;
    },
    STALL_TIMEOUT_MS + expected * MS_PER_ROW_MAX,
  );
  await until('an online store without lag', async () => {
    const partitions = await site.kafka.admin().lag(FEATURE_STORE_GROUP, featureRowsPublished.topic);
    return partitions.every(({ lag }) => lag === 0n);
  });
  return rows;
}
