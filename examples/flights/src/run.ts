import { AppError } from '@headrace/base/errors';
import { compareServed } from './compare-served.js';
import type { Connections } from './connect.js';
import { DAY_MS, type Flight } from './flights.js';
import { liveErrors, observe } from './judge-predictions.js';
import { predictFlights, type Pass } from './predict-flights.js';
import type { FlightsReport } from './report.js';
import { applyDefinitions, catchUp, publishHistory, served, train, type FlightsProgress } from './steps.js';

export interface FlightsOptions {
  /** Days whose flights are labels; the windows before them reach back further. */
  readonly labelDays: number;
  /** One flight in so many is a label. */
  readonly labelEvery: number;
  /** Predictions whose features are compared with a training set. */
  readonly compared: number;
}

/**
 * Flights land, and each tells its origin, destination and route how late it was; its label comes then too. A model learns from windows as of
 * each departure, and flights that are about to leave are predicted from the windows of that moment. Their features, out of the prediction
 * log, are compared with a training set as of the same moment, and their outcomes go to the monitor.
 */
export async function runFlights(
  site: Connections,
  flights: readonly Flight[],
  nowMs: number,
  { labelDays, labelEvery, compared }: FlightsOptions,
  progress: FlightsProgress,
): Promise<FlightsReport> {
  const seconds: Record<string, number> = {};
  const step = async <T>(name: string, work: () => Promise<T>, say: (result: T) => string): Promise<T> => {
    const begin = performance.now();
    const result = await work();
    const tookMs = performance.now() - begin;
    seconds[name] = tookMs / 1000;
    progress.line(say(result), tookMs);
    return result;
  };
  const landed = flights.filter((flight) => flight.landsMs <= nowMs);
  const labelled = landed.filter((flight, i) => flight.departsMs >= nowMs - labelDays * DAY_MS && i % labelEvery === 0);
  if (labelled.length === 0)
    throw new AppError('REQUEST_INVALID', 'no flight of the span is a label; take more days, or a smaller --label-every');

  const model = await step(
    'apply definitions',
    () => applyDefinitions(site, nowMs - labelDays * DAY_MS, nowMs),
    ({ features }) => `applied the definitions in project ${site.project}; the model reads ${features.length} features`,
  );
  const rows = await step(
    'publish the stream',
    () => publishHistory(site, landed, labelled, progress),
    (n) => `${landed.length} landed flights published over Kafka, ${n} rows stored offline and online`,
  );
  const runVersion = await step(
    'train',
    () => train(site, progress),
    (n) => `version ${n} trained from ${labelled.length} labels`,
  );
  const version = await step(
    'serve',
    () => served(site, runVersion),
    (v) => `version ${v.version} blessed and served`,
  );
  const upcoming = await step(
    'catch up',
    () => catchUp(site, flights, nowMs, rows),
    (soon) => `flights that landed meanwhile published; ${soon.length} are about to leave`,
  );
  const pass = await step(
    'predict',
    async () => someOf(await predictFlights(site.prediction, upcoming)),
    ({ predicted, lost }) => `${predicted.length} of them predicted by entity key, ${lost} lost`,
  );
  const comparison = await step(
    'compare served with recomputed',
    () => compareServed(site, pass.predicted.slice(0, compared), model.features),
    ({ mismatches, values }) => `${values} served values recomputed as of their moment: ${mismatches} mismatches`,
  );
  const monitor = await step(
    'late outcomes',
    () => observe(site, pass.predicted, model.threshold),
    (seen) => `the monitor joined ${seen.labelled} outcomes`,
  );
  const { evaluation, lineage, blessing } = version;
  return {
    project: site.project,
    present: new Date(flights[0]!.scheduledMs - flights[0]!.departsMs + nowMs).toISOString(),
    ...{ flights: landed.length, rows, publishSeconds: seconds['publish the stream']!, labels: labelled.length },
    ...{ trainingSetHash: lineage?.trainingSetHash ?? '', version: version.version, onnxSha256: version.artifactSha256 },
    gates: (blessing?.gates ?? []).map(({ sentence }) => sentence),
    holdout: (evaluation as { metrics: Record<string, number> }).metrics,
    ...{ answered: pass.predicted.length, lost: pass.lost, failures: pass.failures },
    live: await liveErrors(site, pass, labelled),
    ...{ comparison, monitor, seconds },
  };
}

/** Without one answer there is nothing to compare or to report. */
function someOf(pass: Pass): Pass {
  if (pass.predicted.length > 0) return pass;
  throw new AppError('DEPENDENCY_UNAVAILABLE', `none of ${pass.lost} flights was predicted: ${pass.failures.join('; ')}`);
}
