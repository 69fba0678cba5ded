import { AppError } from '@headrace/base/errors';
import { parquetReadObjects } from 'hyparquet';
import type { Connections } from './connect.js';
import type { Predicted } from './predict-flights.js';
import { publishProbes } from './publish.js';
import { readServed, REDACTED, type ServedRow } from './served-log.js';
import { stored } from './stored.js';

export interface Comparison {
  readonly values: number;
  readonly mismatches: number;
  /** Windows whose edge moved between request and answer: they prove nothing and are not counted. */
  readonly moved: number;
  /** Values that are missing on both sides; counted as equal. */
  readonly missing: number;
  /** Values that the log keeps to itself; not compared. */
  readonly redacted: number;
  readonly examples: readonly string[];
}

const EXAMPLES_SHOWN = 5;

/**
 * Features as the model saw them at the moment of a prediction, out of the prediction log, against a training set as of the moments just before
 * the request and just after its answer, as float32 and bit by bit. The lookup lies between the two, so a value that both agree on must be
 * the served one.
 */
export async function compareServed(site: Connections, predicted: readonly Predicted[], features: readonly string[]): Promise<Comparison> {
  const served = await readServed(site.kafka, site.project, new Set(predicted.map(({ predictionId }) => predictionId)));
  const probes = predicted.flatMap(({ flight, askedMs, answeredMs }) => [askedMs, answeredMs].map((atMs) => ({ flight, atMs })));
  await stored(site, (await site.offlineRows()) + (await publishProbes(site, probes)));
  const moments = probes.map(({ atMs }) => atMs);
  return compareRows(predicted, features, served, await readProbes(site, features, Math.min(...moments), Math.max(...moments)));
}

/** @param rowOf rows of the training set, by `keyOf`. @throws AppError NOT_FOUND when it lacks one. */
export function compareRows(
  predicted: readonly Predicted[],
  features: readonly string[],
  served: ReadonlyMap<string, ServedRow>,
  rowOf: ReadonlyMap<string, Record<string, unknown>>,
): Comparison {
  const result = { values: 0, mismatches: 0, moved: 0, missing: 0, redacted: 0, examples: [] as string[] };
  for (const one of predicted) {
    const [before, after] = [one.askedMs, one.answeredMs].map((atMs) => rowOf.get(keyOf(one.flight.id, atMs)));
    if (!before || !after)
      throw new AppError('NOT_FOUND', `the training set has no row of flight ${one.flight.id} at the moment of its prediction`);
    for (const feature of features) {
      const column = feature.replace(':', '__');
      const [a, b] = [floatOf(before[column]), floatOf(after[column])];
      if (!Object.is(a, b)) {
        result.moved++;
        continue;
      }
      const servedValue = served.get(one.predictionId)?.get(feature.split(':')[1]!);
      if (servedValue === REDACTED) {
        result.redacted++;
        continue;
      }
      result.values++;
      if (Object.is(servedValue, a)) result.missing += a === null ? 1 : 0;
      else if (result.mismatches++ < EXAMPLES_SHOWN)
        result.examples.push(`${feature} of ${one.flight.id}: served ${servedValue}, recomputed ${a}`);
    }
  }
  return result;
}

async function readProbes(
  site: Connections,
  features: readonly string[],
  fromMs: number,
  toMs: number,
): Promise<Map<string, Record<string, unknown>>> {
  const set = await site.features.buildTrainingSet({
    ...{ project: site.project, labelView: 'probe', labelFeature: 'probe', features: [...features] },
    ...{ from: new Date(fromMs), to: new Date(toMs + 1) },
  });
  const answer = await site.fetch(`${site.featuresUrl}${set.path}?project=${site.project}`, {
    headers: site.apiKey ? { authorization: `Bearer ${site.apiKey}` } : {},
  });
  if (!answer.ok)
    throw new AppError('DEPENDENCY_UNAVAILABLE', `the training set ${set.hash} answered ${answer.status}: ${await answer.text()}`);
  const rows = await parquetReadObjects({ file: await answer.arrayBuffer() });
  return new Map(rows.map((row) => [keyOf(String(row.flight), (row.event_time as Date).getTime()), row]));
}

export const keyOf = (flight: string, atMs: number): string => `${flight}@${atMs}`;

/** As the model takes it; a boolean is 0 or 1. */
function floatOf(value: unknown): number | null {
  return value === undefined || value === null ? null : Math.fround(Number(value));
}
