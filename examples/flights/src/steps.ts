import { AppError } from '@headrace/base/errors';
import { newId } from '@headrace/base/ids';
import type { Definition } from '@headrace/contracts/features/v1/features';
import type { Version } from '@headrace/contracts/registry/v1/registry';
import { RunState } from '@headrace/contracts/training/v1/training';
import { isDefinitionOf, type Definition as AnyDefinition, type ModelDefinition } from '@headrace/definitions/definition';
import { parseDefinitionsFile } from '@headrace/definitions/yaml-file';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Connections } from './connect.js';
import { MINUTE_MS, type Flight, type FlightTable } from './flights.js';
import { publishLandings, publishSchedules } from './publish.js';
import { stored } from './stored.js';
import { until } from './until.js';

const DEFINITIONS = fileURLToPath(new URL('../definitions.yaml', import.meta.url));
export const MODEL = 'delay';
/** Flights that leave within this time are about to leave. */
const SOON_MS = 30 * MINUTE_MS;

type Spec = ModelDefinition['spec'];

export interface FlightsProgress {
  line(text: string, tookMs?: number): void;
  live(text: string): void;
}

export async function applyDefinitions(site: Connections, fromMs: number, toMs: number): Promise<Spec> {
  const definitions = parseDefinitionsFile(readFileSync(DEFINITIONS, 'utf8'), DEFINITIONS);
  const trainingWindow = { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() };
  const wire = ({ kind, name, spec }: AnyDefinition, more: object = {}): Definition => ({
    ...{ kind, name },
    spec: { ...(structuredClone(spec) as object), ...more },
  });
  const model = definitions.find((one): one is ModelDefinition => isDefinitionOf(one, 'Model'))!;
  await site.features.apply({ project: site.project, definitions: definitions.filter((one) => one !== model).map((one) => wire(one)) });
  await site.registry.applyModel({ project: site.project, definitions: [wire(model, { trainingWindow })] });
  return model.spec;
}

/** @param landings indices of flights, in the order in which they land @param labels some of these */
export async function publishHistory(
  site: Connections,
  flights: FlightTable,
  landings: Uint32Array,
  labels: Uint32Array,
  progress: FlightsProgress,
): Promise<number> {
  const expected = 3 * landings.length + 2 * labels.length;
  const labelled = new Set(labels);
  await publishSchedules(
    site,
    Array.from(labels, (index) => flights.at(index)),
  );
  await publishLandings(site, flights, landings, labelled, (n) => progress.live(`published ${n} of ${landings.length} flights`));
  return stored(site, expected, (n) => progress.live(`stored ${n} of ${expected} rows`));
}

export async function train(site: Connections, progress: FlightsProgress): Promise<number> {
  const { runId } = await site.trainer.requestRun({ project: site.project, model: MODEL, reason: 'manual', requestId: newId() });
  return until(`run ${runId} finished`, async () => {
    const run = await site.trainer.getRun({ project: site.project, runId });
    progress.live(`run ${runId}: ${run.step}`);
    if ([RunState.FAILED, RunState.KILLED, RunState.CANCELLED].includes(run.state))
      throw new AppError('TRAINING_FAILED', `run ${runId}: ${run.failure}`);
    return run.state === RunState.SUCCEEDED && run.version;
  });
}

/** Blessed, champion, and answering in serving. */
export async function served(site: Connections, version: number): Promise<Version> {
  return until(`version ${version} of ${MODEL} served`, async () => {
    const record = await site.registry.getVersion({ project: site.project, model: MODEL, version });
    const refused = record.blessing?.gates.filter((gate) => !gate.passed) ?? [];
    if (refused.length > 0)
      throw new AppError('VERSION_NOT_BLESSED', `version ${version}: ${refused.map((gate) => gate.sentence).join('; ')}`);
    const { loaded } = await site.serving.listLoaded({ project: site.project });
    const here = loaded.find((one) => one.model === MODEL && one.version === version);
    if (here?.failure) throw new AppError('MODEL_LOAD_FAILED', here.failure);
    return here?.champion === true && record;
  });
}

/** Time went on while the model learnt: what has landed since is published, and then whatever leaves soon may be asked about. */
export async function catchUp(site: Connections, flights: FlightTable, sinceMs: number, rows: number): Promise<Flight[]> {
  const nowMs = Date.now();
  const since = flights.landings(sinceMs, nowMs);
  const upcoming = flights.departures(nowMs, nowMs + SOON_MS);
  if (upcoming.length === 0)
    throw new AppError('DEADLINE_EXCEEDED', 'the run took longer than the flights that were read for it; take fewer days');
  await publishSchedules(site, upcoming);
  await publishLandings(site, flights, since, new Set());
  await stored(site, rows + 3 * since.length + upcoming.length);
  return upcoming;
}
