import { AppError } from '@headrace/base/errors';
import { newId } from '@headrace/base/ids';
import type { Definition } from '@headrace/contracts/features/v1/features';
import { RunState } from '@headrace/contracts/training/v1/training';
import { parseDefinitionsFile } from '@headrace/definitions/yaml-file';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compareServed } from './compare-served.js';
import type { Connections } from './connect.js';
import type { Flight } from './flights.js';
import { predictFlights } from './predict-flights.js';
import { lateOf, publishLabels, publishLandings, publishSchedules } from './publish.js';
import type { FlightsReport } from './report.js';
import { until } from './until.js';

const DEFINITIONS = fileURLToPath(new URL('../definitions.yaml', import.meta.url));
const MODEL = 'punctuality';
const DAY_MS = 86_400_000;

export interface FlightsOptions {
  /** Days whose flights are labels; the windows before them reach back further. */
  readonly labelDays: number;
  /** One flight in so many is a label. */
  readonly labelEvery: number;
  /** Flights whose served features are compared with a training set. */
  readonly compared: number;
}

/**
 * Flights land, and each tells its origin, destination and route how late it was; the label of a departure comes when it has landed. A
 * model learns from windows as of each departure, and flights that are about to leave are predicted from the windows of this moment.
 */
export async function runFlights(
  site: Connections,
  flights: readonly Flight[],
  nowMs: number,
  { labelDays, labelEvery, compared }: FlightsOptions,
  say: (line: string) => void,
): Promise<FlightsReport> {
  const landed = flights.filter((flight) => flight.landsMs <= nowMs);
  const labelled = landed.filter((flight, i) => flight.departsMs >= nowMs - labelDays * DAY_MS && i % labelEvery === 0);
  const upcoming = flights.filter((flight) => flight.departsMs > nowMs);
  const window = { from: new Date(nowMs - labelDays * DAY_MS).toISOString(), to: new Date(nowMs).toISOString() };
  await applyDefinitions(site, window);
  say(`applied the definitions in project ${site.project}`);
  const publishedAt = performance.now();
  await publishSchedules(site, [...labelled, ...upcoming]);
  await publishLandings(site, landed);
  await publishLabels(site, labelled);
  const rows = await stored(site, 3 * landed.length + 2 * labelled.length + upcoming.length);
  const publishSeconds = (performance.now() - publishedAt) / 1000;
  say(`${rows} rows of ${landed.length} flights published over Kafka and stored in both stores in ${publishSeconds.toFixed(1)} s`);
  const { runId } = await site.trainer.requestRun({ project: site.project, model: MODEL, reason: 'manual', requestId: newId() });
  const version = await trained(site, runId);
  say(`run ${runId} made version ${version}`);
  const record = await served(site, version);
  const trainingSetHash = record.lineage?.trainingSetHash ?? '';
  say(`version ${version} is served; its training set is ${trainingSetHash}`);
  const baseRate = labelled.filter((flight) => lateOf(flight) === 1).length / labelled.length;
  const predicted = await predictFlights(site.prediction, upcoming, baseRate);
  say(`${predicted.answered} flights that are about to leave predicted, ${predicted.lost} lost`);
  const comparison = await compareServed(site, upcoming.slice(0, compared));
  return {
    project: site.project,
    ...{ flights: landed.length, rows, publishSeconds, labels: labelled.length, trainingSetHash, version },
    gates: (record.blessing?.gates ?? []).map((gate) => `${gate.gate} ${gate.value.toFixed(3)}`),
    baseRate,
    predicted,
    comparison,
  };
}

async function applyDefinitions(site: Connections, trainingWindow: object): Promise<void> {
  const definitions = parseDefinitionsFile(readFileSync(DEFINITIONS, 'utf8'), DEFINITIONS);
  const wire = (isModel: boolean): Definition[] =>
    definitions
      .filter(({ kind }) => (kind === 'Model') === isModel)
      .map(({ kind, name, spec }) => ({
        kind,
        name,
        spec: { ...(structuredClone(spec) as object), ...(isModel ? { trainingWindow } : {}) },
      }));
  await site.features.apply({ project: site.project, definitions: wire(false) });
  await site.registry.applyModel({ project: site.project, definitions: wire(true) });
}

async function stored(site: Connections, expected: number): Promise<number> {
  return until(`${expected} rows in the offline store`, async () => {
    const { views } = await site.features.listViews({ project: site.project });
    const rows = views.reduce((sum, view) => sum + view.offlineRows, 0);
    return rows >= expected && rows;
  });
}

async function trained(site: Connections, runId: string): Promise<number> {
  return until(`run ${runId} finished`, async () => {
    const run = await site.trainer.getRun({ project: site.project, runId });
    if ([RunState.FAILED, RunState.KILLED, RunState.CANCELLED].includes(run.state))
      throw new AppError('TRAINING_FAILED', `run ${runId}: ${run.failure}`);
    return run.state === RunState.SUCCEEDED && run.version;
  });
}

/** Blessed, champion, and answering in serving. */
async function served(site: Connections, version: number) {
  return until(`version ${version} of ${MODEL} served`, async () => {
    const record = await site.registry.getVersion({ project: site.project, model: MODEL, version });
    const refused = record.blessing?.gates.filter((gate) => !gate.passed) ?? [];
    if (refused.length > 0)
      throw new AppError('VERSION_NOT_BLESSED', `version ${version}: ${refused.map((gate) => gate.sentence).join('; ')}`);
    const { loaded } = await site.serving.listLoaded({ project: site.project });
    return loaded.some((l) => l.model === MODEL && l.version === version && l.champion) && record;
  });
}
