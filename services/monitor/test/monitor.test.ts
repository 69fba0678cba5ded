import { AlertState } from '@headrace/contracts/monitoring/v1/monitoring';
import type { OutcomesObserved, PredictionsLogged } from '@headrace/contracts/events/v1/events';
import { RunState, Run } from '@headrace/contracts/training/v1/training';
import {
  alertChanged,
  deadLetterTopic,
  modelChanged,
  outcomesObserved,
  predictionsLogged,
  rolloutChanged,
  trainingRequested,
  trainingRunChanged,
} from '@headrace/events/catalog';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { baselineOf, bruteForce, chunks, crowd, logOf, outcomesOf, specOf, type Answered, type Crowd } from './people.js';
import { Site } from './site.js';

const MODEL = 'employment';
const BIASED = { 1: 0.31, 2: 0.9 } as const;
const FAIR = { 1: 0.9, 2: 0.9 } as const;
const reference = baselineOf(crowd({ seed: 1, rows: 20_000, fromMs: 0, spreadMs: 1, prefix: 'train', found: FAIR }));

let site: Site;
beforeAll(async () => {
  site = await Site.open();
  await site.listen(alertChanged.topic, alertChanged as never);
  await site.listen(trainingRequested.topic, trainingRequested as never);
  await site.listen(deadLetterTopic(predictionsLogged.topic), predictionsLogged as never);
  await site.listen(deadLetterTopic(outcomesObserved.topic), outcomesObserved as never);
});
afterAll(() => site.close());

/** A project of its own, so that tests do not see each other. */
function newProject(name: string, more: Parameters<typeof specOf>[0] = {}, baseline: Record<string, unknown> = reference): void {
  site.registry.define(name, MODEL, specOf(more));
  site.registry.register(name, MODEL, 1, ['DIS', 'SEX'], baseline);
}

const people = (project: string, more: Partial<Crowd> = {}): Answered[] =>
  crowd({ seed: 5, rows: 4_000, fromMs: Date.now() - 20_000, spreadMs: 8_000, prefix: project, found: FAIR, ...more });
const publishLog = (project: string, answered: readonly Answered[], version = 1): Promise<void> =>
  site.events.publish(predictionsLogged, logOf(answered, { project, model: MODEL, version }));
const publishOutcomes = (project: string, outcomes: readonly { predictionId: string; label: number; observedAt?: Date }[]): Promise<void> =>
  site.events.publish(
    outcomesObserved,
    chunks(outcomes, 500).map((part): OutcomesObserved => ({ project, outcomes: part.map((o) => ({ observedAt: undefined, ...o })) })),
  );
const report = (project: string, version = 1) => site.client.getReport({ project, model: MODEL, version });
const alerts = async (project: string) => (await site.client.listAlerts({ project, model: MODEL })).alerts;

async function settled(project: string, predictions: number, labelled: number, version = 1) {
  return eventually(
    `${project} has ${predictions} predictions and ${labelled} labels`,
    async () => {
      const now = await report(project, version);
      expect([now.predictions, now.labelled]).toEqual([predictions, labelled]);
      return now;
    },
    { withinMs: 20_000 },
  );
}

/** Publishes labels part by part, each seen by a judgement of its own. */
async function labelInParts(project: string, answered: readonly Answered[], parts: number, version = 1): Promise<void> {
  let done = (await report(project, version)).labelled;
  const total = (await report(project, version)).predictions;
  for (const part of chunks(answered, Math.ceil(answered.length / parts))) {
    await publishOutcomes(project, outcomesOf(part));
    done += part.length;
    await settled(project, total, done, version);
    await judged(project, version);
  }
}

/** The markers have caught up with the data: everything so far was judged. */
const judged = (project: string, version: number) =>
  eventually('judged', async () => {
    const [row] = await site.postgres.query<{ labelled_marker: string; labels: string }>(
      `SELECT v.labelled_marker, (SELECT concat_ws('.', sum(tp), sum(fp), sum(tn), sum(fn)) FROM pane_group g WHERE g.version_id = v.id AND attribute = '') AS labels FROM version v WHERE project = $1 AND model = $2 AND version = $3`,
      [project, MODEL, version],
    );
    expect(row!.labelled_marker.split('/')[1]).toBe(row!.labels);
  });

describe('the loop of the monitor', () => {
  it('finds a planted bias with the right numbers, asks for a mitigated retraining, and resolves when version 2 is clean', async () => {
    const project = 'planted';
    newProject(project);
    const first = people(project, { found: BIASED });
    await publishLog(project, first);
    await settled(project, first.length, 0);
    await labelInParts(project, first, 4);

    const truth = bruteForce(first, 'DIS');
    const figures = await report(project);
    const dis = figures.attributes.find((a) => a.attribute === 'DIS')!;
    expect(figures.accuracy).toBeCloseTo(truth.accuracy, 12);
    expect(dis.equalOpportunityDifference).toBeCloseTo(truth.gap, 12);
    expect(dis.equalOpportunityLow).toBeLessThan(truth.gap);
    expect(
      Object.fromEntries(
        dis.groups.map((g) => [
          g.value,
          { predictions: g.predictions, positives: g.positives, truePositiveRate: g.truePositiveRate, selectionRate: g.selectionRate },
        ]),
      ),
    ).toEqual(truth.groups);
    expect(figures.drift.filter((d) => d.drifted)).toEqual([]);

    const alert = await eventually(
      'the alert acted',
      async () => (await alerts(project)).find((a) => a.state === AlertState.ACTED) ?? false,
    );
    expect(await alerts(project)).toHaveLength(1);
    expect(alert).toMatchObject({
      kind: 'bias',
      subject: 'DIS',
      version: 1,
      metric: 'equal_opportunity_difference',
      threshold: 0.2,
      requestId: `alert-${alert.alertId}`,
    });
    expect(alert.sentence).toMatch(
      /^Equal-opportunity difference on DIS is 0\.\d\d \(95 % interval .*ceiling 0\.20: of the people who have the outcome, version 1 finds 0\.\d\d of DIS=1 \(n=\d+\) and 0\.\d\d of DIS=2/,
    );
    const missed = new Set(first.filter((p) => p.DIS === 1 && p.truth === 1 && p.label === 0).map((p) => p.id));
    expect(alert.examplePredictionIds).toHaveLength(5);
    expect(alert.examplePredictionIds.every((id) => missed.has(id))).toBe(true);

    const asked = await eventually('the request is on Kafka', () => site.heardOf(trainingRequested, project)[0] ?? false);
    expect(asked.event).toEqual({
      project,
      model: MODEL,
      reason: 'alert',
      requestId: `alert-${alert.alertId}`,
      alertId: alert.alertId,
      mitigation: { method: 'reweighing', attribute: 'DIS' },
    });
    const told = await eventually('all changes are on Kafka', () =>
      site.heardOf(alertChanged, project).length >= 3 ? site.heardOf(alertChanged, project) : false,
    );
    expect(told.map((e) => e.event.alert!.state)).toEqual([AlertState.SUSPECTED, AlertState.FIRING, AlertState.ACTED]);
    expect([...told, asked].every((e) => e.correlationId === alert.alertId)).toBe(true);
    expect([told[1]!.causationId, asked.causationId, told[2]!.causationId]).toEqual([told[0]!.id, told[1]!.id, asked.id]);

    // Version 2 is trained, blessed, and serves.
    site.registry.define(project, MODEL, specOf(), 2);
    site.registry.register(project, MODEL, 2, ['DIS', 'SEX'], reference);
    await site.events.publish(modelChanged, [
      { project, model: MODEL, version: 2, change: { $case: 'aliasSet', value: { alias: 'champion', previousVersion: 1, reason: '' } } },
    ]);
    await site.events.publish(rolloutChanged, [
      { project, model: MODEL, version: 2, step: 'swapped', detail: '', previousVersion: 1, instance: 'i', at: new Date() },
    ]);
    const second = people(project, { seed: 6, prefix: `${project}-2` });
    await publishLog(project, second, 2);
    await settled(project, second.length, 0, 2);
    await labelInParts(project, second, 3, 2);
    await eventually('resolved', async () =>
      expect((await site.client.getAlert({ project, alertId: alert.alertId })).state).toBe(AlertState.RESOLVED),
    );

    // Late labels of the replaced version are counted, and raise nothing.
    const late = people(project, { seed: 7, rows: 3_000, prefix: `${project}-late`, found: BIASED });
    await publishLog(project, late);
    await settled(project, first.length + late.length, first.length);
    await labelInParts(project, late, 3);
    expect((await alerts(project)).map((a) => a.state)).toEqual([AlertState.RESOLVED]);
    expect(site.heardOf(trainingRequested, project)).toHaveLength(1);
    expect(
      (await site.metric('headrace_monitor_group_gap')).some(
        (line) => line.includes('project="planted"') && line.includes('attribute="DIS"'),
      ),
    ).toBe(true);
  });

  it('waits with the retraining while one is under way, and asks when it has ended', async () => {
    const project = 'waiting';
    newProject(project);
    const run = (state: RunState) =>
      site.events.publish(trainingRunChanged, [
        { run: Run.create({ project, model: MODEL, runId: 'r1', requestId: 'by-hand', reason: 'manual', state, queuedAt: new Date() }) },
      ]);
    await run(RunState.RUNNING);
    const answered = people(project, { found: BIASED });
    await publishLog(project, answered);
    await settled(project, answered.length, 0);
    await eventually('the run is known', async () =>
      expect(await site.postgres.query(`SELECT 1 FROM retraining WHERE project = $1 AND run = 'open'`, [project])).toHaveLength(1),
    );
    await labelInParts(project, answered, 4);
    expect((await alerts(project)).map((a) => a.state)).toEqual([AlertState.FIRING]);
    await run(RunState.SUCCEEDED);
    await eventually('acted', async () => expect((await alerts(project)).map((a) => a.state)).toEqual([AlertState.ACTED]));
  });

  it('raises no alert over 50 judgements of clean data', async () => {
    const project = 'clean';
    newProject(project);
    const answered = people(project, { rows: 6_000, seed: 21 });
    await publishLog(project, answered);
    await settled(project, answered.length, 0);
    await labelInParts(project, answered, 50);
    expect(await alerts(project)).toEqual([]);
    expect(
      await site.postgres.query<{ history: string }>(`SELECT history FROM watch WHERE project = $1 AND history LIKE '%b%'`, [project]),
    ).toEqual([]);
  });

  it('finds drift on the one feature that moved', async () => {
    const project = 'drifting';
    newProject(project);
    for (const part of [0, 1, 2]) {
      const answered = people(project, { rows: 1_500, seed: 30 + part, prefix: `${project}${part}`, youngest: 45 });
      await publishLog(project, answered);
      await settled(project, 1_500 * (part + 1), 0);
      await eventually('judged', async () =>
        expect(
          await site.postgres.query(`SELECT 1 FROM version WHERE project = $1 AND traffic_marker LIKE $2`, [
            project,
            `%/${1_500 * (part + 1)}`,
          ]),
        ).toHaveLength(1),
      );
    }
    const [alert, ...others] = await alerts(project);
    expect(others).toEqual([]);
    expect(alert).toMatchObject({ kind: 'drift', subject: 'AGEP', state: AlertState.FIRING });
    expect(alert!.sentence).toContain('Feature AGEP of version 1 differs from its training data: PSI');
    const drifted = (await report(project)).drift.filter((d) => d.drifted);
    expect(new Set(drifted.map((d) => d.column))).toEqual(new Set(['AGEP']));
    expect(site.heardOf(trainingRequested, project)).toEqual([]);
  });

  it('mutes an alert, which then does nothing', async () => {
    const project = 'muting';
    newProject(project, { retrain: { on: [] } });
    const answered = people(project, { found: BIASED });
    await publishLog(project, answered);
    await settled(project, answered.length, 0);
    await labelInParts(project, answered, 4);
    const [alert] = await alerts(project);
    expect(alert!.state).toBe(AlertState.FIRING);
    const muted = await site.client.muteAlert({ project, alertId: alert!.alertId });
    expect(muted.state).toBe(AlertState.MUTED);
    expect((await site.client.muteAlert({ project, alertId: alert!.alertId })).changedAt).toEqual(muted.changedAt);
    const more = people(project, { rows: 2_000, seed: 99, prefix: `${project}-more`, found: BIASED });
    await publishLog(project, more);
    await settled(project, answered.length + more.length, answered.length);
    await labelInParts(project, more, 2);
    expect((await alerts(project)).map((a) => a.state)).toEqual([AlertState.MUTED]);
    await expect(site.client.muteAlert({ project, alertId: 'none' })).rejects.toMatchObject({ code: 'ALERT_UNKNOWN' });
  });
});

describe('exactly-once effects', () => {
  it('changes nothing when log batches and outcomes are delivered again', async () => {
    const project = 'again';
    newProject(project);
    const answered = people(project, { rows: 1_200 });
    const records = [...site.events.records(predictionsLogged, logOf(answered, { project, model: MODEL, version: 1 }))];
    const labels = site.events.records(outcomesObserved, [{ project, outcomes: outcomesOf(answered) }]);
    await site.send([...records, ...labels]);
    const before = await settled(project, 1_200, 1_200);
    const panes = await site.postgres.query('SELECT * FROM pane WHERE project = $1 ORDER BY version_id, pane_start_ms', [project]);
    await site.send([...records, ...labels]);
    // The same predictions in events with new ids and another cut, and one prediction twice in a batch.
    await publishLog(project, [...answered.slice(0, 700), ...answered.slice(0, 300)]);
    const one = people(project, { rows: 1, prefix: `${project}-end` });
    await publishLog(project, [...one, ...one]);
    await settled(project, 1_201, 1_200);
    expect(await report(project)).toEqual({
      ...before,
      predictions: 1_201,
      drift: expect.anything() as never,
      attributes: expect.anything() as never,
    });
    const after = await site.postgres.query<{ sketches: unknown }>(
      'SELECT * FROM pane WHERE project = $1 ORDER BY version_id, pane_start_ms',
      [project],
    );
    expect(after.filter((pane, i) => JSON.stringify(pane) !== JSON.stringify(panes[i])).length).toBeLessThanOrEqual(1);
  });

  it('joins labels that come before, with, and after their predictions', async () => {
    const project = 'orders';
    newProject(project);
    const answered = people(project, { rows: 900 });
    await publishOutcomes(project, outcomesOf(answered.slice(0, 300)));
    await eventually('they wait', async () =>
      expect(await site.postgres.query('SELECT 1 FROM pending_outcome WHERE project = $1', [project])).toHaveLength(300),
    );
    await Promise.all([publishLog(project, answered), publishOutcomes(project, outcomesOf(answered.slice(300, 600)))]);
    await settled(project, 900, 600);
    await publishOutcomes(project, outcomesOf(answered.slice(600)));
    const { accuracy } = await settled(project, 900, 900);
    expect(accuracy).toBeCloseTo(bruteForce(answered, 'DIS').accuracy, 12);
    expect(await site.postgres.query('SELECT 1 FROM pending_outcome WHERE project = $1', [project])).toEqual([]);
  });

  it('lets the label that was observed later win, whatever the order', async () => {
    const project = 'conflicts';
    newProject(project);
    const answered = people(project, { rows: 400 });
    await publishLog(project, answered);
    const at = (ms: number) => new Date(Date.now() - 100_000 + ms);
    const wrong = answered.map((p) => ({ predictionId: p.id, label: 1 - p.truth, observedAt: at(0) }));
    const right = answered.map((p) => ({ predictionId: p.id, label: p.truth, observedAt: at(10) }));
    await publishOutcomes(project, [...wrong.slice(0, 200), ...right.slice(200)]);
    await settled(project, 400, 400);
    await publishOutcomes(project, [...right.slice(0, 200), ...wrong.slice(200)]);
    await eventually('the corrected labels count', async () =>
      expect((await report(project)).accuracy).toBeCloseTo(bruteForce(answered, 'DIS').accuracy, 12),
    );
    expect((await report(project)).labelled).toBe(400);
  });

  it('survives its database connections being cut and itself being restarted in the middle', async () => {
    const project = 'restarts';
    newProject(project);
    const answered = people(project, { rows: 12_000 });
    const publishing = (async () => {
      for (const part of chunks(answered, 1_000))
        await Promise.all([publishLog(project, part), publishOutcomes(project, outcomesOf(part))]);
    })();
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      await site.postgres.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'headrace-monitor' AND datname = current_database()`,
      );
    }
    await site.restart();
    await publishing;
    const { accuracy, attributes } = await settled(project, 12_000, 12_000);
    const truth = bruteForce(answered, 'DIS');
    expect(accuracy).toBeCloseTo(truth.accuracy, 12);
    expect(attributes[0]!.equalOpportunityDifference).toBeCloseTo(truth.gap, 12);
    const [sketched] = await site.postgres.query<{ n: number }>('SELECT sum(predictions) AS n FROM pane WHERE project = $1', [project]);
    expect(sketched!.n).toBe(12_000);
  });

  it('keeps the log of versions that it cannot look up while the registry is away, and counts it later', async () => {
    const project = 'away';
    newProject(project);
    await site.registry.close();
    const answered = people(project, { rows: 800 });
    await publishLog(project, answered);
    await publishOutcomes(project, outcomesOf(answered));
    await eventually(
      'parked',
      async () => expect((await site.postgres.query('SELECT 1 FROM parked_batch WHERE project = $1', [project])).length).toBe(2),
      { withinMs: 20_000 },
    );
    await site.registry.open();
    await settled(project, 800, 800);
    // Counted first, forgotten then: a crash between the two counts nothing twice.
    await eventually('nothing is parked any more', async () =>
      expect(await site.postgres.query('SELECT 1 FROM parked_batch WHERE project = $1', [project])).toEqual([]),
    );
  });
});

describe('bad input', () => {
  const dead = (topic: string, project: string) =>
    site.heard.filter((r) => r.topic === deadLetterTopic(topic) && r.headers['ce_project'] === project);

  it('dead-letters log batches that are crooked or of unknown models, with a reason, and counts their neighbours', async () => {
    const project = 'badlog';
    newProject(project);
    const answered = people(project, { rows: 30 });
    const [good] = logOf(answered, { project, model: MODEL, version: 1 });
    const crooked: PredictionsLogged = {
      ...good!,
      predictionIds: good!.predictionIds.map((id) => `${id}x`),
      scores: good!.scores.slice(1),
    };
    const records = site.events.records(predictionsLogged, [crooked, { ...good!, model: 'nobody' }, { ...good!, version: 9 }, good!]);
    const malformed = { ...records[3]!, value: records[3]!.value.slice(0, 100), headers: { ...records[3]!.headers, ce_id: 'malformed' } };
    await site.send([malformed, ...records]);
    await settled(project, 30, 0);
    const letters = await eventually('four dead letters', () =>
      dead(predictionsLogged.topic, project).length === 4 ? dead(predictionsLogged.topic, project) : false,
    );
    const reasons = letters.map((l) => `${l.headers['dead-code']}: ${l.headers['dead-reason']}`).sort();
    expect(reasons[0]).toMatch(/^EVENT_MALFORMED: .*not a valid application\/protobuf/);
    expect(reasons[1]).toMatch(/^EVENT_MALFORMED: prediction log of employment\/1: `scores` has 29 entries for 30 prediction ids/);
    expect(reasons[2]).toBe(`VERSION_UNKNOWN: the registry has no version 1 of model nobody in project ${project}`);
    expect(reasons[3]).toBe(`VERSION_UNKNOWN: the registry has no version 9 of model employment in project ${project}`);
  });

  it('quarantines bad outcomes one by one, keeps their neighbours, and the quarantined part can be read again', async () => {
    const project = 'badlabels';
    newProject(project);
    const answered = people(project, { rows: 10 });
    await publishLog(project, answered);
    const good = outcomesOf(answered);
    await site.events.publish(outcomesObserved, [
      {
        project,
        outcomes: [{ ...good[0]!, label: Number.NaN }, { ...good[1]!, label: 1e9 }, { ...good[2]!, predictionId: '' }, ...good.slice(3)],
      },
    ]);
    await settled(project, 10, 7);
    const letters = await eventually('three quarantined', () =>
      dead(outcomesObserved.topic, project).length === 3 ? dead(outcomesObserved.topic, project) : false,
    );
    expect(letters.map((l) => l.headers['dead-code'])).toEqual(['ROW_INVALID', 'ROW_INVALID', 'ROW_INVALID']);
    expect(JSON.parse(Buffer.from(letters[0]!.value).toString())).toMatchObject({
      project,
      outcomes: [{ predictionId: good[0]!.predictionId, label: 'NaN' }],
    });
    expect(letters[0]!.headers['dead-reason']).toContain('`label` is NaN');
  });

  it('takes outcomes as the documented JSON', async () => {
    const project = 'json';
    newProject(project);
    const answered = people(project, { rows: 1 });
    await publishLog(project, answered);
    const value = Buffer.from(
      JSON.stringify({ project, outcomes: [{ predictionId: answered[0]!.id, label: 1, observedAt: '2016-01-01T00:00:00Z' }] }),
    );
    await site.send([{ topic: outcomesObserved.topic, key: 'k', value, headers: {} }]);
    await settled(project, 1, 1);
  });

  it('answers unknown models, alerts and bad requests in clear words, over gRPC and HTTP', async () => {
    await expect(site.client.getReport({ project: 'default', model: 'nobody' })).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
    await expect(site.client.getReport({ project: 'default', model: '../x' })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(site.client.getReport({ project: 'default', model: MODEL, from: new Date(2), to: new Date(1) })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
    await expect(site.client.getAlert({ alertId: 'none' })).rejects.toMatchObject({ code: 'ALERT_UNKNOWN' });
    const http = async (path: string) => fetch(site.service.httpUrl + path);
    expect((await http('/reports/nobody')).status).toBe(404);
    expect((await http(`/reports/${MODEL}?project=planted&version=x`)).status).toBe(400);
    expect(await (await http(`/reports/${MODEL}?project=planted&version=1`)).json()).toMatchObject({
      model: MODEL,
      predictions: 7_000,
      labelled: 7_000,
    });
    expect(((await (await http('/alerts?project=planted')).json()) as { alerts: unknown[] }).alerts).toMatchObject([
      { kind: 'bias', subject: 'DIS', state: 'ALERT_STATE_RESOLVED' },
    ]);
    expect((await http('/alerts/none')).status).toBe(404);
  });

  it('has an empty report for a version without traffic, and sums versions for version 0', async () => {
    expect(await report('planted', 7)).toMatchObject({ predictions: 0, labelled: 0, drift: [], attributes: [] });
    expect((await site.client.getReport({ project: 'planted', model: MODEL })).predictions).toBe(11_000);
  });

  it('watches a version whose baseline is unusable for bias alone', async () => {
    const project = 'nobaseline';
    newProject(project, {}, { features: [{ name: 'AGEP', kind: 'numeric', edges: [2, 1] }] });
    const answered = people(project, { rows: 600 });
    await publishLog(project, answered);
    expect((await settled(project, 600, 0)).drift).toEqual([]);
  });
});
