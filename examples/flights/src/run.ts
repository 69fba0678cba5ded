import { AppError } from '@headrace/base/errors';
import { compareServed } from './compare-served.js';
import type { Connections } from './connect.js';
import { DAY_MS, type FlightTable } from './flights.js';
import { liveErrors, observe } from './judge-predictions.js';
import { predictFlights, type Pass } from './predict-flights.js';
import type { FlightsReport } from './report.js';
import { applyDefinitions, catchUp, publishHistory, served, train, type FlightsProgress } from './steps.js';

export interface FlightsOptions {
  /** Days whose flights are labels; the windows before them reach back further. */
  readonly labelDays: number;
  /** One flight in so many is a label; undefined = so that there are about `LABELS`. */
  readonly labelEvery: number | undefined;
  /** Predictions whose features are compared with a training set. */
  readonly compared: number;
}

/** More of them teach the model little, and each takes its windows as of its departure. */
const LABELS = 30_000;

/**
 * Flights land, and each tells its origin, destination and route how late it was; its label comes then too. A model learns from windows as of
 * each departure, and flights that are about to leave are predicted from the windows of that moment. Their features, out of the prediction
 * log, are compared with a training set as of the same moment, and their outcomes go to the monitor.
 */
export async function runFlights(
  site: Connections,
  flights: FlightTable,
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
  const landings = flights.landings(-Infinity, nowMs);
  const labels = labelsOf(flights, nowMs - labelDays * DAY_MS, nowMs, labelEvery);
  if (labels.length === 0)
    throw new AppError('REQUEST_INVALID', 'no flight of the span is a label; take more days, or a smaller --label-every');

  const model = await step(
    'apply definitions',
    () => applyDefinitions(site, nowMs - labelDays * DAY_MS, nowMs),
    ({ features }) => `applied the definitions in project ${site.project}; the model reads ${features.length} features`,
  );
  const rows = await step(
    'publish the stream',
    () => publishHistory(site, flights, landings, labels, progress),
    (n) => `${landings.length} landed flights published over Kafka, ${n} rows stored offline and online`,
  );
  const runVersion = await step(
    'train',
    () => train(site, progress),
    (n) => `version ${n} trained from ${labels.length} labels`,
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
    present: new Date(nowMs - flights.shiftMs).toISOString(),
    ...{ flights: landings.length, rows, publishSeconds: seconds['publish the stream']!, labels: labels.length },
    ...{ trainingSetHash: lineage?.trainingSetHash ?? '', version: version.version, onnxSha256: version.artifactSha256 },
    gates: (blessing?.gates ?? []).map(({ sentence }) => sentence),
    holdout: (evaluation as { metrics: Record<string, number> }).metrics,
    ...{ answered: pass.predicted.length, lost: pass.lost, failures: pass.failures },
    live: await liveErrors(site, pass, meanDelay(flights, labels)),
    ...{ comparison, monitor, seconds },
  };
}

function labelsOf(flights: FlightTable, departedMs: number, landedMs: number, labelEvery: number | undefined): Uint32Array {
  const all = flights.sample(departedMs, landedMs, 1);
  return flights.sample(departedMs, landedMs, labelEvery ?? Math.max(1, Math.round(all.length / LABELS)));
}

function meanDelay(flights: FlightTable, labels: Uint32Array): number {
  return labels.reduce((sum, index) => sum + flights.at(index).delay, 0) / labels.length;
}

/** Without one answer there is nothing to compare or to report. */
function someOf(pass: Pass): Pass {
  if (pass.predicted.length > 0) return pass;
  throw new AppError('DEPENDENCY_UNAVAILABLE', `none of ${pass.lost} flights was predicted: ${pass.failures.join('; ')}`);
}
