import { AppError, messageOf } from '@headrace/base/errors';
import { emptyRowLookup } from '../domain/entity-lookup.js';
import { nameOf } from '../domain/version-description.js';
import type { PredictJob } from '../domain/predict-job.js';

export interface OnlineStore {
  /** One round trip, whatever the number of keys. */
  getBuffers(keys: readonly string[]): Promise<(Buffer | null)[]>;
}

export interface LookupOutcome {
  /** Rows whose blob has a layout that the version's view does not have. */
  unknownLayouts: number;
  corruptBlobs: number;
}

/**
 * Fetches the features of all entities of all jobs in one round trip and writes them into the jobs' blocks. Jobs that cannot be
 * answered are given to `refuse`; the others are returned. The keys of one job never disturb another's.
 */
export async function lookUpFeatures(
  jobs: readonly PredictJob[],
  store: OnlineStore,
  nowMs: () => number,
  refuse: (job: PredictJob, error: AppError) => void,
): Promise<{ ready: PredictJob[]; outcome: LookupOutcome }> {
  const keys: string[] = [];
  const asked: { job: PredictJob; firstKey: number }[] = [];
  for (const job of jobs) {
    const firstKey = keys.length;
    try {
      for (const entity of job.entities!) job.loaded.parts.lookup!.addKeys(entity, keys);
      asked.push({ job, firstKey });
    } catch (error) {
      keys.length = firstKey;
      refuse(job, error as AppError);
    }
  }
  const outcome = { unknownLayouts: 0, corruptBlobs: 0 };
  const ready: PredictJob[] = [];
  if (asked.length === 0) return { ready, outcome };
  let blobs: (Buffer | null)[];
  try {
    blobs = await readAll(store, keys);
  } catch (error) {
    const unavailable = new AppError(
      'DEPENDENCY_UNAVAILABLE',
      `the online store did not answer: ${messageOf(error)}; requests with dense values are not affected`,
      { details: { dependency: 'redis' }, cause: error },
    );
    for (const { job } of asked) refuse(job, unavailable);
    return { ready, outcome };
  }
  for (const { job, firstKey } of asked) {
    const refusal = fillJob(job, blobs, firstKey, nowMs(), outcome);
    if (refusal) refuse(job, refusal);
    else ready.push(job);
  }
  return { ready, outcome };
}

/** One command takes this many keys; more would exceed what a call can pass, and hold Redis up. Several go out together. */
const KEYS_MAX = 20_000;

async function readAll(store: OnlineStore, keys: readonly string[]): Promise<(Buffer | null)[]> {
  if (keys.length <= KEYS_MAX) return store.getBuffers(keys);
  const parts: Promise<(Buffer | null)[]>[] = [];
  for (let from = 0; from < keys.length; from += KEYS_MAX) parts.push(store.getBuffers(keys.slice(from, from + KEYS_MAX)));
  return (await Promise.all(parts)).flat();
}

const found = emptyRowLookup();

/** @returns why the job is refused by its model's policy. */
function fillJob(
  job: PredictJob,
  blobs: readonly (Buffer | null)[],
  firstKey: number,
  nowMs: number,
  outcome: LookupOutcome,
): AppError | undefined {
  const { lookup, missingFeatures } = job.loaded.parts;
  const featureTimes = (job.featureTimes = new Float64Array(job.rows));
  const stale = (job.stale = new Uint8Array(job.rows));
  for (let row = 0; row < job.rows; row++) {
    lookup!.fill(blobs, firstKey + row * lookup!.keysPerRow, job.block!, row, nowMs, found);
    featureTimes[row] = found.oldestEventTimeMs;
    stale[row] = found.missingViews > 0 ? 1 : 0;
    outcome.unknownLayouts += found.unknownLayouts;
    outcome.corruptBlobs += found.corruptBlobs;
    if (found.missingViews > 0 && missingFeatures === 'refuse') {
      const entity = job.entities![row]!;
      return new AppError(
        'ENTITY_NOT_FOUND',
        `row ${row}: entity ${JSON.stringify(entity)} has no fresh features in the online store, and ${nameOf(job.loaded)} refuses such rows (missingFeatures: refuse)`,
        { details: { entity, row: String(row) } },
      );
    }
  }
  return undefined;
}
