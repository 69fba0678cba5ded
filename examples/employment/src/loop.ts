import { AppError } from '@headrace/base/errors';
import { sleep } from '@headrace/base/clock';
import { newId } from '@headrace/base/ids';
import { FieldStatus, type Definition } from '@headrace/contracts/features/v1/features';
import { AlertState, type Alert, type Report as MonitorReport } from '@headrace/contracts/monitoring/v1/monitoring';
import type { Version } from '@headrace/contracts/registry/v1/registry';
import { RunState, type Run } from '@headrace/contracts/training/v1/training';
import { parseDefinitionsFile } from '@headrace/definitions/yaml-file';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Connections } from './connect.js';
import { ConstantLoad } from './constant-load.js';
import { peopleOf, type Person } from './people.js';
import { predictPeople } from './predict-people.js';
import { publishFeatures, publishLabels, publishOutcomes } from './publish.js';
import { judge, type LoopReport } from './report.js';

const MODEL = 'employment';
const ATTRIBUTE = 'DIS';
const DEFINITIONS = fileURLToPath(new URL('../definitions.yaml', import.meta.url));

/** Requests a second that go on from the first prediction to the end, through the hot swap. */
const LOAD_PER_SECOND = 200;

/** Longest that any one step may take before the loop counts as broken. */
const STEP_TIMEOUT_MS = 300_000;

export interface LoopProgress {
  line(text: string, tookMs?: number): void;
  live(text: string): void;
}

/**
 * The main job, on real data: people of 2015 train version 1, people of 2016 are predicted live, their labels arrive late, the
 * monitor finds that version 1 misses most working people with a disability, a mitigated version 2 is trained, gated, and
 * swapped in under load. Nothing here triggers the retraining: it only publishes, predicts, and watches.
 */
export async function runLoop(site: Connections, progress: LoopProgress): Promise<LoopReport> {
  const steps: { name: string; seconds: number }[] = [];
  const step = async <T>(name: string, work: () => Promise<T>, say: (result: T) => string): Promise<T> => {
    const begin = performance.now();
    const result = await work();
    const tookMs = performance.now() - begin;
    steps.push({ name, seconds: Math.round(tookMs) / 1000 });
    progress.line(say(result), tookMs);
    return result;
  };

  const [people2015, people2016] = await Promise.all([peopleOf(2015), peopleOf(2016)]);
  await step(
    'apply definitions',
    () => applyDefinitions(site),
    (n) => `applied ${n} definitions`,
  );
  await step(
    'publish 2015',
    () => publishAndWait(site, people2015, 2015, progress, true),
    (n) => `2015: ${n} people and their labels published over Kafka, stored offline and online`,
  );
  const run1 = await step(
    'train version 1',
    () => trainFirst(site, progress),
    (run) => `run ${run.runId} made version ${run.version}`,
  );
  const before = await step('serve version 1', () => served(site, run1.version), describeVersion);
  await step(
    'publish 2016',
    () => publishAndWait(site, people2016, 2016, progress, false),
    (n) => `2016: ${n} people published over Kafka, readable online`,
  );

  const load = new ConstantLoad(site.prediction, people2016, LOAD_PER_SECOND);
  load.start();
  const swappedUnderLoad = async () => {
    const pass1 = await step(
      'predict 2016 with version 1',
      () => predictPeople(site.prediction, people2016, (done) => progress.live(`predicted ${done}`)),
      (pass) => `predicted ${pass.answered} people of 2016 by entity key, ${pass.lost} lost`,
    );
    await step(
      'late labels',
      () => publishOutcomes(site, pass1.outcomes),
      () => `${pass1.outcomes.size} labels arrived late as outcome events`,
    );
    const alert = await step(
      'bias alert',
      () => biasAlert(site),
      (a) => `ALERT ${a.sentence}`,
    );
    const run2 = await step(
      'mitigated retraining',
      () => mitigatedRun(site, alert, progress),
      (run) =>
        `run ${run.runId} (asked for by the alert, ${run.mitigation?.method} on ${run.mitigation?.attribute}) made version ${run.version}`,
    );
    const after = await step('gate and hot swap', () => served(site, run2.version), describeVersion);
    const report1 = await step('report of version 1', () => settledReport(site, before.version, pass1.outcomes.size), describeReport);
    const pass2 = await step(
      'predict 2016 with version 2',
      () => predictPeople(site.prediction, people2016, (done) => progress.live(`predicted ${done}`)),
      (pass) => `predicted ${pass.answered} people of 2016 again, ${pass.lost} lost`,
    );
    await publishOutcomes(site, pass2.outcomes);
    const report2 = await step('report of version 2', () => settledReport(site, after.version, pass2.outcomes.size), describeReport);
    const resolved = await step(
      'alert resolved',
      () => resolvedAlert(site, alert),
      (a) => `the alert is ${a.state.replace('ALERT_STATE_', '').toLowerCase()}`,
    );
    return { pass1, pass2, alert, run2, after, report1, report2, resolved };
  };
  let outcome: Awaited<ReturnType<typeof swappedUnderLoad>>;
  try {
    outcome = await swappedUnderLoad();
  } catch (error) {
    await load.stop();
    throw error;
  }
  const loadResult = await load.stop();
  return judge({
    ...outcome,
    project: site.project,
    people2015: people2015.length,
    people2016: people2016.length,
    before,
    run1,
    load: loadResult,
    attribute: ATTRIBUTE,
    steps,
  });
}

async function applyDefinitions(site: Connections): Promise<number> {
  const definitions = parseDefinitionsFile(readFileSync(DEFINITIONS, 'utf8'), DEFINITIONS);
  const wire = (kinds: readonly string[]): Definition[] =>
    definitions
      .filter((d) => kinds.includes(d.kind))
      .map(({ kind, name, spec }) => ({ kind, name, spec: structuredClone(spec) as Record<string, unknown> }));
  const features = await site.features.apply({ project: site.project, definitions: wire(['Entity', 'FeatureView']) });
  const models = await site.registry.applyModel({ project: site.project, definitions: wire(['Model']) });
  return features.applied.length + models.applied.length;
}

/** Published rows count as arrived when the offline store has them all and a sample is readable online. */
async function publishAndWait(
  site: Connections,
  people: readonly Person[],
  year: number,
  progress: LoopProgress,
  withLabels: boolean,
): Promise<number> {
  const offlineRows = async (): Promise<number> => {
    const { views } = await site.features.listViews({ project: site.project });
    return views
      .filter((view) => view.name === 'person' || (withLabels && view.name === 'employment'))
      .reduce((sum, view) => sum + view.offlineRows, 0);
  };
  const before = await offlineRows();
  await publishFeatures(site, people, year);
  if (withLabels) await publishLabels(site, people, year);
  const expected = before + people.length * (withLabels ? 2 : 1);
  await until(`${people.length} rows of ${year} in the offline store`, async () => {
    const now = await offlineRows();
    progress.live(`stored ${now - before} rows`);
    return now >= expected;
  });
  const sample = people.filter((_, i) => i % 97 === 0).map((person) => ({ keys: { person_id: person.id } }));
  await until(`people of ${year} readable online`, async () => {
    const { vectors } = await site.features.getOnlineFeatures({
      project: site.project,
      features: ['person:AGEP', `person:${ATTRIBUTE}`],
      entities: sample,
    });
    return vectors.every((vector) => vector.statuses.every((status) => status === FieldStatus.PRESENT));
  });
  return people.length;
}

async function trainFirst(site: Connections, progress: LoopProgress): Promise<Run> {
  const { runId } = await site.trainer.requestRun({ project: site.project, model: MODEL, reason: 'manual', requestId: newId() });
  return finished(site, runId, progress);
}

async function finished(site: Connections, runId: string, progress: LoopProgress): Promise<Run> {
  return until(`run ${runId} finished`, async () => {
    const run = await site.trainer.getRun({ project: site.project, runId });
    progress.live(`run ${run.step}`);
    if ([RunState.FAILED, RunState.KILLED, RunState.CANCELLED].includes(run.state))
      throw new AppError('TRAINING_FAILED', `run ${runId}: ${run.failure}`);
    return run.state === RunState.SUCCEEDED && run;
  });
}

/** Blessed, champion, and answering in serving. A rejected version ends the loop with its gates. */
async function served(site: Connections, version: number): Promise<Version> {
  return until(`version ${version} of ${MODEL} served`, async () => {
    const record = await site.registry.getVersion({ project: site.project, model: MODEL, version });
    const refused = record.blessing?.gates.filter((gate) => !gate.passed) ?? [];
    if (refused.length > 0)
      throw new AppError('VERSION_NOT_BLESSED', `version ${version}: ${refused.map((gate) => gate.sentence).join('; ')}`);
    const { loaded } = await site.serving.listLoaded({ project: site.project });
    return record.blessing?.blessed === true && loaded.some((l) => l.model === MODEL && l.version === version && l.champion) && record;
  });
}

async function biasAlert(site: Connections): Promise<Alert> {
  return until(`a firing bias alert on ${ATTRIBUTE}`, async () => {
    const { alerts } = await site.monitor.listAlerts({ project: site.project, model: MODEL });
    return alerts.find((a) => a.kind === 'bias' && a.subject === ATTRIBUTE && [AlertState.FIRING, AlertState.ACTED].includes(a.state));
  });
}

async function mitigatedRun(site: Connections, alert: Alert, progress: LoopProgress): Promise<Run> {
  const run = await until('a run that the alert asked for', async () => {
    const { runs } = await site.trainer.listRuns({ project: site.project, model: MODEL });
    return runs.find((candidate) => candidate.alertId === alert.alertId);
  });
  return finished(site, run.runId, progress);
}

/** The monitor's own figures for a version, once it has joined every label of our pass. */
async function settledReport(site: Connections, version: number, labels: number): Promise<MonitorReport> {
  return until(`the monitor joined ${labels} labels of version ${version}`, async () => {
    const report = await site.monitor.getReport({ project: site.project, model: MODEL, version });
    return report.labelled >= labels && report;
  });
}

async function resolvedAlert(site: Connections, { alertId }: Alert): Promise<Alert> {
  return until(`alert ${alertId} resolved`, async () => {
    const alert = await site.monitor.getAlert({ project: site.project, alertId });
    return alert.state === AlertState.RESOLVED && alert;
  });
}

const POLL_MS = 200;

/** Polls until `check` gives something; its own errors end the wait at once. @throws AppError DEADLINE_EXCEEDED */
async function until<T>(what: string, check: () => Promise<T | false | undefined>): Promise<T> {
  const limit = Date.now() + STEP_TIMEOUT_MS;
  for (;;) {
    const result = await check();
    if (result !== false && result !== undefined) return result;
    if (Date.now() > limit) throw new AppError('DEADLINE_EXCEEDED', `waited ${STEP_TIMEOUT_MS / 1000} s in vain for: ${what}`);
    await sleep(POLL_MS);
  }
}

function describeVersion(version: Version): string {
  const gates = version.blessing?.gates ?? [];
  return `version ${version.version} blessed by ${gates.length} gates and serving: ${gates.map((gate) => `${gate.gate} ${gate.value.toFixed(3)}`).join(', ')}`;
}

function describeReport(report: MonitorReport): string {
  const gap = report.attributes.find((a) => a.attribute === ATTRIBUTE)?.equalOpportunityDifference ?? Number.NaN;
  return `monitor on version ${report.version}: ${report.labelled} labelled, accuracy ${report.accuracy.toFixed(3)}, equal-opportunity difference on ${ATTRIBUTE} ${gap.toFixed(3)}`;
}
