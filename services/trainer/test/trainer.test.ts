import { RunState } from '@headrace/contracts/training/v1/training';
import { trainingRequested } from '@headrace/events/catalog';
import { eventually } from '@headrace/testkit/eventually';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { EventPublisher } from '@headrace/platform/kafka/publisher';
import { lockNextRun } from '../src/io/runs.js';
import { sha256 } from './fakes.js';
import { openTrainer, smallSpec, type Trainer } from './support.js';

let trainer: Trainer;
beforeAll(async () => {
  trainer = await openTrainer();
});
afterAll(() => trainer.close());

const model = (name: string, more: object = {}): void => void trainer.registry.models.set(name, { ...smallSpec, ...more });
const sql = (statement: string): Promise<Record<string, unknown>[]> => trainer.service.app.get(Postgres).query(statement);

describe('a run', () => {
  it('goes from request to registered version with all its evidence, and every state is an event', async () => {
    const queued = await trainer.request('small', 'first', {
      alertId: 'alert-1',
      reason: 'alert',
      mitigation: { method: 'reweighing', attribute: 'group' },
    });
    expect(queued).toMatchObject({ state: RunState.QUEUED, requestId: 'first', reason: 'alert', attempt: 0 });
    await trainer.worker();
    const run = await trainer.until(queued.runId, RunState.SUCCEEDED);
    expect(run).toMatchObject({
      version: 1,
      attempt: 1,
      failure: '',
      step: 'done',
      mitigation: { method: 'reweighing', attribute: 'group' },
    });
    expect(run.metrics).toMatchObject({
      accuracy: expect.any(Number) as number,
      equal_opportunity_difference: { group: expect.any(Number) as number },
      verdict: 'blessed',
    });

    const { registry, featureStore } = trainer;
    const registered = registry.registrations.find((r) => r.runId === run.runId)!;
    expect(featureStore.builds[0]).toMatchObject({
      labelView: 'outcome',
      labelFeature: 'label',
      features: [...smallSpec.features, 'person:group'],
      from: new Date('2015-01-01T00:00:00Z'),
      to: new Date('2016-01-01T00:00:00Z'),
    });
    expect(registered.signature).toEqual({
      features: [
        { name: 'age', reference: 'person:age', type: 'int64', categorical: false },
        { name: 'income', reference: 'person:income', type: 'float64', categorical: false },
        { name: 'member', reference: 'person:member', type: 'bool', categorical: true },
        { name: 'sector', reference: 'person:sector', type: 'int64', categorical: true },
        { name: 'town', reference: 'person:town', type: 'string', categorical: true },
      ],
      protectedFeatures: [{ name: 'group', reference: 'person:group', type: 'int64', categorical: true }],
      entityKeys: ['person_id'],
      threshold: 0.5,
      outputs: ['label', 'probabilities'],
    });
    expect(registered.lineage).toMatchObject({
      trainingSetHash: sha256(featureStore.parquet),
      trainingSetQuery: 'SELECT the small set',
      viewHashes: { person: 'p'.repeat(64) },
      codeHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      definitionHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      parentVersion: 0,
      alertId: 'alert-1',
      requestId: 'first',
      mitigation: { method: 'reweighing', attribute: 'group' },
    });
    expect(registered.evaluation).toMatchObject({
      runId: run.runId,
      mitigation: { method: 'reweighing' },
      parity: { label_mismatches: 0 },
    });
    expect([registered.baseline, registered.golden].every((document) => (document as { rows: unknown }).rows)).toBe(true);
    expect(sha256(registry.artifacts.get(registered.artifactSha256)!)).toBe(registered.artifactSha256);
    await eventually('the whole life is on Kafka', () =>
      expect(trainer.states(run.runId)).toEqual(['queued', 'admitted', 'running', 'succeeded']),
    );
    const events = trainer.events().filter((e) => e.event.run?.runId === run.runId);
    expect(new Set(events.map((e) => e.correlationId))).toEqual(new Set(['alert-1']));
    expect(events.at(-1)!.event.run).toMatchObject({ version: 1, metrics: run.metrics });
  });

  it('gives the same bytes for the same definition and data, and names its parent', async () => {
    const again = await trainer.request('small', 'second', { mitigation: { method: 'reweighing', attribute: 'group' } });
    expect(await trainer.until(again.runId, RunState.SUCCEEDED)).toMatchObject({ version: 2 });
    const [one, two] = trainer.registry.registrations.slice(-2);
    expect(two!.artifactSha256).toBe(one!.artifactSha256);
    expect(two!.lineage).toMatchObject({ parentVersion: 1, codeHash: one!.lineage!.codeHash });
  });

  it('of a regression registers values, their errors, and the skill over the naive answer', async () => {
    const retrain = { on: [] };
    model('value', { task: 'regression', threshold: 0.5, naive: 'person:member_share', retrain });
    const refused = await trainer.request('value', 'a naive answer that is not there');
    expect((await trainer.until(refused.runId, RunState.FAILED)).failure).toMatch(/person:member_share.*has no feature/);
    model('value', { task: 'regression', threshold: 0.5, naive: 'person:age', retrain });
    const { runId } = await trainer.request('value', 'a regression');
    const run = await trainer.until(runId, RunState.SUCCEEDED);
    expect(run.metrics).toMatchObject({ rmse: expect.any(Number) as number, r2: expect.any(Number) as number });
    const registered = trainer.registry.registrations.find((r) => r.runId === runId)!;
    expect(registered.signature).toMatchObject({ outputs: ['label', 'value'], threshold: 0.5 });
    // Nobody's age lies near 0 or 1, so the model takes nearly all of that error away.
    expect((registered.evaluation as { metrics: { mae_skill: number } }).metrics.mae_skill).toBeGreaterThan(0.9);
    expect((registered.golden as { rows: object[] }).rows[0]).toHaveProperty('value');
  });

  it('is one for each request, however often and however concurrently it is asked for', async () => {
    model('once');
    const runs = await Promise.all(Array.from({ length: 10 }, () => trainer.request('once', 'same')));
    expect(new Set(runs.map((r) => r.runId)).size).toBe(1);
    const done = await trainer.until(runs[0]!.runId, RunState.SUCCEEDED);
    expect((await trainer.request('once', 'same')).runId).toBe(done.runId);
    expect((await trainer.client.listRuns({ model: 'once' })).runs).toHaveLength(1);
    await expect(trainer.request('small', 'same')).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  it.each<[string, object, RegExp]>([
    ['a view that is not there', { features: ['nowhere:age'] }, /VIEW_UNKNOWN.*nowhere:age.*apply it first/],
    ['a feature that its view lacks', { features: ['person:shoe'] }, /DEFINITION_INVALID.*no feature shoe; it has age, income/],
    [
      'a learner parameter that is not known',
      { learner: { kind: 'lightgbm', params: { tree_count: 5 } } },
      /DEFINITION_INVALID.*tree_count is not a parameter/,
    ],
    ['a label that is never positive', { label: { view: 'outcome', feature: 'label', positive: 9 } }, /TRAINING_FAILED.*DATA_INVALID/],
  ])('fails at once and for good with a readable reason when the definition asks for %s', async (name, more, reason) => {
    model('wrong', more);
    const { runId } = await trainer.request('wrong', `wrong: ${name}`);
    const run = await trainer.until(runId, RunState.FAILED);
    expect(run.failure).toMatch(reason);
    expect(run).toMatchObject({ attempt: 1, version: 0 });
    expect(trainer.registry.versions.some((v) => v.runId === runId)).toBe(false);
  });

  it('is repeated while a peer is away, and gives up with the reason when it stays away', async () => {
    model('patient');
    const { runId } = await trainer.request('patient', 'patient');
    await trainer.until(runId, RunState.SUCCEEDED);
    const second = await trainer.request('patient', 'patient 2');
    trainer.featureStore.hold = Promise.resolve();
    // The transport tries four times by itself, so two attempts need five refusals.
    trainer.registry.failNext = 5;
    const repeated = await trainer.until(second.runId, RunState.SUCCEEDED);
    trainer.registry.failNext = 0;
    expect(repeated.attempt).toBeGreaterThan(1);
    await eventually('the repetition is on Kafka', () =>
      expect(trainer.states(second.runId)).toEqual(
        expect.arrayContaining(['queued', 'admitted', 'running', 'queued', 'admitted', 'running', 'succeeded']),
      ),
    );
  });

  it('fails on a training set that arrives damaged, after its attempts, and registers nothing', async () => {
    model('damaged');
    const whole = trainer.featureStore.parquet;
    const damaged = Buffer.from(whole);
    damaged[500]! ^= 1;
    trainer.featureStore.parquet = damaged;
    const { runId } = await trainer.request('damaged', 'damaged');
    const run = await trainer.until(runId, RunState.FAILED);
    trainer.featureStore.parquet = whole;
    expect(run).toMatchObject({ attempt: 4, failure: expect.stringMatching(/^ARTIFACT_CORRUPT: training set/) as string });
  });

  it('that is cancelled ends its process, also while it trains, and cannot be cancelled after it has ended', async () => {
    model('long', { learner: { kind: 'lightgbm', params: { n_estimators: 500, min_child_samples: 2 } } });
    const { runId } = await trainer.request('long', 'long');
    await eventually('the process runs', async () => (await trainer.client.getRun({ runId })).step === 'train', { withinMs: 20_000 });
    const pid = await eventually(
      'its pid is known',
      async () => (await sql(`select child_pid from runs where run_id = '${runId}'`))[0]!.child_pid as number | false,
    );
    expect(await trainer.client.cancelRun({ runId })).toMatchObject({ state: RunState.CANCELLED });
    await eventually('the process is gone', () => expect(() => process.kill(pid, 0)).toThrow());
    expect(await trainer.client.cancelRun({ runId })).toMatchObject({ state: RunState.CANCELLED });
    await eventually('the cancellation is on Kafka', () => expect(trainer.states(runId).at(-1)).toBe('cancelled'));
    const finished = (await trainer.client.listRuns({ model: 'small' })).runs[0]!;
    await expect(trainer.client.cancelRun({ runId: finished.runId })).rejects.toMatchObject({ code: 'RUN_STATE_ILLEGAL' });
    await expect(trainer.client.cancelRun({ runId: 'nobody' })).rejects.toMatchObject({ code: 'RUN_UNKNOWN' });
  });

  it('is not overtaken by a later run of its model while a worker is just taking it', async () => {
    const quiet = await openTrainer();
    try {
      for (const name of ['busy', 'free']) quiet.registry.models.set(name, smallSpec);
      for (const [name, id] of [
        ['busy', 'busy 1'],
        ['busy', 'busy 2'],
        ['free', 'free 1'],
      ] as const)
        await quiet.request(name, id);
      const postgres = quiet.service.app.get(Postgres);
      const taken = await postgres.transaction(async (first) => [
        (await lockNextRun(first))?.request_id,
        await postgres.transaction(async (second) => (await lockNextRun(second))?.request_id),
      ]);
      expect(taken).toEqual(['busy 1', 'free 1']);
    } finally {
      await quiet.close();
    }
  });

  it('waits behind an active run of its model, while other models go on', async () => {
    model('busy');
    model('free');
    let release = (): void => undefined;
    trainer.featureStore.hold = new Promise((resolve) => (release = resolve));
    await trainer.worker();
    const [first, second] = [await trainer.request('busy', 'busy 1'), await trainer.request('busy', 'busy 2')];
    await trainer.until(first.runId, RunState.RUNNING);
    const other = await trainer.request('free', 'free 1');
    await trainer.until(other.runId, RunState.RUNNING);
    expect(await trainer.client.getRun({ runId: second.runId })).toMatchObject({ state: RunState.QUEUED });
    release();
    for (const run of [first, second, other]) await trainer.until(run.runId, RunState.SUCCEEDED);
    const spans = (await trainer.client.listRuns({ model: 'busy' })).runs.sort((a, b) => (a.requestId < b.requestId ? -1 : 1));
    expect(spans[0]!.finishedAt!.getTime()).toBeLessThanOrEqual(spans[1]!.startedAt!.getTime());
  });

  it('shows over HTTP, with the workers and what they offer', async () => {
    const get = async (path: string): Promise<unknown> => (await fetch(`${trainer.service.httpUrl}${path}`)).json();
    const { runs } = (await get('/runs?model=small')) as { runs: { runId: string; state: string }[] };
    expect(runs.map((r) => r.state)).toEqual(['RUN_STATE_SUCCEEDED', 'RUN_STATE_SUCCEEDED']);
    expect(await get(`/runs/${runs[0]!.runId}`)).toMatchObject({ runId: runs[0]!.runId, version: 2 });
    expect(await get('/runs/nobody')).toMatchObject({ status: 404, code: 'RUN_UNKNOWN' });
    const { workers } = (await get('/workers')) as { workers: { cpus: number; memoryBytes: number; gpus: unknown[] }[] };
    expect(workers.length).toBe(2);
    expect(workers.every((w) => w.cpus > 0 && w.memoryBytes > 0 && Array.isArray(w.gpus))).toBe(true);
    expect(readdirSync(join(trainer.config.stateDir!, 'trainer', 'runs')).length).toBeGreaterThan(0);
  });
});

describe('a training event', () => {
  const runsOf = async (name: string): Promise<number> => (await trainer.client.listRuns({ model: name })).runs.length;
  beforeEach(() => model('events'));

  it('in JSON or protobuf queues one run, also when it is delivered twice', async () => {
    const json = '{"project":"default","model":"events","reason":"manual","requestId":"json-1"}';
    await trainer.sendRaw(json);
    await trainer.sendRaw(json);
    const publisher = trainer.service.app.get(EventPublisher);
    await publisher.publish(trainingRequested, [
      { project: 'default', model: 'events', reason: 'event', requestId: 'proto-1', alertId: '', mitigation: undefined },
    ]);
    await eventually('both runs are there', async () =>
      expect((await trainer.client.listRuns({ model: 'events' })).runs.map((r) => r.requestId).sort()).toEqual(['json-1', 'proto-1']),
    );
    for (const run of (await trainer.client.listRuns({ model: 'events' })).runs) await trainer.until(run.runId, RunState.SUCCEEDED);
  });

  it('without a request id is known by its own id', async () => {
    for (let i = 0; i < 2; i++) await trainer.sendRaw('{"model":"events"}', { ce_id: 'event-7' });
    await eventually('one run is there', async () =>
      expect((await trainer.client.listRuns({ model: 'events' })).runs.map((r) => r.requestId)).toContain('event-7'),
    );
    expect((await trainer.client.listRuns({ model: 'events' })).runs.filter((r) => r.requestId === 'event-7')).toHaveLength(1);
  });

  it('that is wrong goes to the dead-letter topic with the reason, and its good neighbours are untouched', async () => {
    const before = await runsOf('events');
    const wrong = [
      '{"model":"nobody","requestId":"w1"}',
      '{"model":"../up","requestId":"w2"}',
      '{"model":"events","reason":"mood","requestId":"w3"}',
      '{"model":',
      '{"model":"events","requestId":"w4","mitigation":{"method":"reweighing","attribute":"shoe"}}',
    ];
    await trainer.sendRaw('{"model":"events","requestId":"good-1"}');
    for (const value of wrong) await trainer.sendRaw(value);
    await trainer.sendRaw('{"model":"events","requestId":"good-2"}');
    await eventually('the good ones have their runs', async () => expect(await runsOf('events')).toBe(before + 2));
    await eventually('the wrong ones are dead letters', () => expect(trainer.deadLetters()).toHaveLength(wrong.length));
    const said = JSON.stringify(trainer.deadLetters());
    for (const code of ['MODEL_UNKNOWN', 'REQUEST_INVALID', 'EVENT_MALFORMED']) expect(said).toContain(code);
  });

  it('for an alert is not followed by another within the cool-down, but a person may still ask', async () => {
    model('calm');
    const alert = (id: string): string => JSON.stringify({ model: 'calm', reason: 'alert', alertId: id, requestId: `request-${id}` });
    await trainer.sendRaw(alert('a1'));
    await eventually('the first alert has its run', async () => expect(await runsOf('calm')).toBe(1));
    await trainer.sendRaw(alert('a2'));
    await trainer.sendRaw('{"model":"calm","requestId":"after"}');
    await eventually('the event behind the second alert has its run', async () =>
      expect((await trainer.client.listRuns({ model: 'calm' })).runs.map((r) => r.requestId).sort()).toEqual(['after', 'request-a1']),
    );
    await expect(trainer.request('calm', 'rpc-alert', { reason: 'alert', alertId: 'a3' })).rejects.toMatchObject({
      code: 'OVERLOADED',
      message: expect.stringMatching(/retrain policy takes the next one from/) as string,
    });
    expect((await trainer.request('calm', 'request-a1', { reason: 'alert' })).requestId).toBe('request-a1');
  });
});

it('a request for an unknown model, with a wrong reason or mitigation is refused at the door', async () => {
  await expect(trainer.request('nobody', 'r1')).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
  await expect(trainer.request('small', 'r2', { reason: 'mood' })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  await expect(trainer.request('small', 'r3', { mitigation: { method: 'magic', attribute: 'group' } })).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    message: expect.stringContaining('reweighing') as string,
  });
});
