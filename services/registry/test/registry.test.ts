import { Change } from '@headrace/contracts/features/v1/features';
import { VersionState } from '@headrace/contracts/registry/v1/registry';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { measured, onnxSha256, onnx, openRegistry, registration, smallSpec, type Registry } from './support.js';

let registry: Registry;
beforeAll(async () => {
  registry = await openRegistry();
  await registry.upload(onnx);
});
afterAll(() => registry.close());

const eventsOf = async (model: string): Promise<string[]> =>
  (await registry.events())
    .filter((e) => e.event.model === model)
    .map(
      ({ event }) =>
        `${event.change?.$case} ${event.version}${event.change?.$case === 'aliasSet' ? ` from ${event.change.value.previousVersion}` : ''}`,
    );

describe('definitions', () => {
  it('are versioned by content: unchanged stays, changed counts up, dry run changes nothing', async () => {
    const changed = { ...smallSpec, threshold: 0.6 };
    expect((await registry.apply('defined', smallSpec, { dryRun: true })).applied).toMatchObject([{ version: 1, change: Change.CREATED }]);
    await expect(registry.client.getModel({ model: 'defined' })).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
    const first = (await registry.apply('defined')).applied[0]!;
    expect(first).toMatchObject({ kind: 'Model', name: 'defined', version: 1, change: Change.CREATED });
    expect((await registry.apply('defined')).applied).toEqual([{ ...first, change: Change.UNCHANGED }]);
    expect((await registry.apply('defined', changed)).applied).toMatchObject([{ version: 2, change: Change.UPDATED }]);
    expect((await registry.apply('defined')).applied).toMatchObject([
      { version: 3, contentHash: first.contentHash, change: Change.UPDATED },
    ]);
    expect(await registry.client.getModel({ model: 'defined' })).toMatchObject({
      project: 'default',
      definitionVersion: 3,
      contentHash: first.contentHash,
      spec: { threshold: 0.5, entity: 'person' },
    });
    await eventually('the three definitions are events', async () =>
      expect(await eventsOf('defined')).toEqual(['defined 0', 'defined 0', 'defined 0']),
    );
  });

  it('of other kinds and with mistakes are refused by name, and nothing of their request is kept', async () => {
    const good = { kind: 'Model', name: 'neighbour', spec: smallSpec };
    await expect(
      registry.client.applyModel({ definitions: [good, { kind: 'Entity', name: 'person', spec: { joinKeys: ['id'] } }] }),
    ).rejects.toMatchObject({ code: 'DEFINITION_INVALID', message: expect.stringContaining('feature store') as string });
    await expect(registry.apply('bad', { ...smallSpec, threshold: 7, features: [] })).rejects.toMatchObject({
      code: 'DEFINITION_INVALID',
      message: expect.stringMatching(/features.*threshold/s) as string,
    });
    await expect(registry.client.getModel({ model: 'neighbour' })).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
  });

  it('live in projects that do not see each other', async () => {
    await registry.client.applyModel({ project: 'other', definitions: [{ kind: 'Model', name: 'mine', spec: smallSpec }] });
    expect((await registry.client.listModels({ project: 'other' })).models.map((m) => m.name)).toEqual(['mine']);
    expect((await registry.client.listModels({})).models.map((m) => m.name)).not.toContain('mine');
  });
});

describe('versions', () => {
  it('are registered, judged and promoted in one go, with every step an event in order', async () => {
    await registry.apply('small');
    const version = await registry.client.registerVersion(
      registration('run-1', { lineage: { ...registration('x').lineage!, alertId: 'alert-9' } }),
    );
    expect(version).toMatchObject({
      version: 1,
      state: VersionState.CHAMPION,
      runId: 'run-1',
      artifactSha256: onnxSha256,
      aliases: ['champion'],
      blessing: { blessed: true, championVersion: 0 },
    });
    expect(version.blessing!.gates.map((g) => [g.gate, g.passed])).toEqual([
      ['servability', true],
      ['quality:accuracy', true],
      ['fairness:group:equal_opportunity_difference', true],
    ]);
    expect(await registry.client.getVersion({ model: 'small', alias: 'champion' })).toEqual(version);
    expect((await registry.client.getModel({ model: 'small' })).aliases).toEqual({ champion: 1 });
    await eventually('all steps are on Kafka', async () =>
      expect(await eventsOf('small')).toEqual(['defined 0', 'registered 1', 'evaluated 1', 'blessed 1', 'aliasSet 1 from 0']),
    );
    const chain = (await registry.events()).filter((e) => e.event.model === 'small' && e.event.version === 1);
    expect(new Set(chain.map((e) => e.correlationId))).toEqual(new Set(['alert-9']));
    expect(chain.find((e) => e.event.change?.$case === 'blessed')?.event.change).toMatchObject({
      value: { blessing: { gates: version.blessing!.gates } },
    });
  });

  it('are one for each run, whatever a later attempt of the run brings', async () => {
    const again = await registry.client.registerVersion(registration('run-1', { evaluation: {} }));
    expect(again).toMatchObject({ version: 1, blessing: { blessed: true } });
    await registry.apply('another');
    await expect(registry.client.registerVersion(registration('run-1', { model: 'another' }))).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
  });

  it('archive the former champion when they replace it, and a rollback by alias brings it back', async () => {
    const second = await registry.client.registerVersion(registration('run-2'));
    expect(second).toMatchObject({ version: 2, state: VersionState.CHAMPION, blessing: { championVersion: 1 } });
    expect(second.blessing!.gates.map((g) => g.gate)).toContain('relative:accuracy');
    expect(await registry.client.getVersion({ model: 'small', version: 1 })).toMatchObject({ state: VersionState.ARCHIVED, aliases: [] });

    const back = await registry.client.setAlias({ model: 'small', alias: 'champion', version: 1, reason: 'rollback' });
    expect(back).toMatchObject({ version: 1, state: VersionState.CHAMPION });
    expect(await registry.client.getVersion({ model: 'small', version: 2 })).toMatchObject({ state: VersionState.ARCHIVED });
    const same = await registry.client.setAlias({ model: 'small', alias: 'champion', version: 1, reason: 'again' });
    expect(same).toEqual(back);
    await eventually('the moves are events, and the repetition is none', async () =>
      expect((await eventsOf('small')).slice(5)).toEqual([
        'registered 2',
        'evaluated 2',
        'blessed 2',
        'archived 1',
        'aliasSet 2 from 1',
        'archived 2',
        'aliasSet 1 from 2',
      ]),
    );
  });

  it.each([
    ['missing metrics', {}, 'quality:accuracy'],
    ['null metrics', measured({ accuracy: null }), 'quality:accuracy'],
    ['NaN metrics', measured({ accuracy: Number.NaN }), 'quality:accuracy'],
    ['an accuracy under its floor', measured({ accuracy: 0.7 }), 'quality:accuracy'],
    ['an accuracy far under the champion', measured({ accuracy: 0.76 }), 'relative:accuracy'],
    ['a gap over its ceiling', measured({}, 0.31), 'fairness:group:equal_opportunity_difference'],
  ])('with %s are rejected by the gate that says so, and can never be champion', async (name, numbers, gate) => {
    const version = await registry.client.registerVersion(registration(`run of ${name}`, { evaluation: numbers }));
    expect(version).toMatchObject({ state: VersionState.REJECTED, aliases: [], blessing: { blessed: false } });
    expect(version.blessing!.gates.filter((g) => !g.passed).map((g) => g.gate)).toContain(gate);
    const refused = registry.client.setAlias({ model: 'small', alias: 'champion', version: version.version, reason: 'please' });
    await expect(refused).rejects.toMatchObject({
      code: 'VERSION_NOT_BLESSED',
      message: expect.stringMatching(/rejected and may not serve: .*(is|was)/) as string,
    });
    for (const alias of ['canary', 'shadow'])
      await expect(registry.client.setAlias({ model: 'small', alias, version: version.version })).rejects.toMatchObject({
        code: 'VERSION_NOT_BLESSED',
      });
    expect(await registry.client.getVersion({ model: 'small', alias: 'champion' })).toMatchObject({ version: 1 });
  });

  it('from a run that was to mend an attribute must have mended it', async () => {
    const lineage = { ...registration('x').lineage!, mitigation: { method: 'reweighing', attribute: 'group' } };
    const version = await registry.client.registerVersion(registration('mitigated', { lineage, evaluation: measured({}, 0.25) }));
    expect(version.blessing!.gates.find((g) => g.gate === 'mitigated:group')).toMatchObject({ value: 0.25, threshold: 0.2, passed: false });
    expect(version).toMatchObject({ state: VersionState.REJECTED, lineage: { mitigation: { method: 'reweighing', attribute: 'group' } } });
  });

  it('that serving could not load are rejected with the reason', async () => {
    const { signature } = registration('x');
    const short = { ...signature!, features: signature!.features.slice(1) };
    const version = await registry.client.registerVersion(registration('unservable', { signature: short, golden: { rows: [] } }));
    expect(version.blessing!.gates[0]).toMatchObject({
      gate: 'servability',
      passed: false,
      sentence: expect.stringMatching(/not the definition's.*shape \[\?, 4\] instead of \[\?, 3\].*no golden rows/s) as string,
    });
    expect(await registry.client.registerVersion(registration('unsigned', { signature: undefined }))).toMatchObject({
      state: VersionState.REJECTED,
    });
  });

  it('stay blessed without traffic when the policy is manual, until a person sets the alias; canary and shadow move the state', async () => {
    await registry.apply('manual', { ...smallSpec, rollout: { promotion: 'manual' } });
    const alias = (name: string, version: number) => registry.client.setAlias({ model: 'manual', alias: name, version });
    expect(await registry.client.registerVersion(registration('m1', { model: 'manual' }))).toMatchObject({
      state: VersionState.BLESSED,
      aliases: [],
    });
    expect(await registry.client.registerVersion(registration('m2', { model: 'manual' }))).toMatchObject({ state: VersionState.BLESSED });
    expect(await alias('shadow', 2)).toMatchObject({ state: VersionState.SHADOW });
    expect(await alias('canary', 2)).toMatchObject({ state: VersionState.CANARY, aliases: ['canary', 'shadow'] });
    expect(await alias('canary', 1)).toMatchObject({ state: VersionState.CANARY });
    expect(await registry.client.getVersion({ model: 'manual', version: 2 })).toMatchObject({ state: VersionState.BLESSED });
    expect(await alias('champion', 1)).toMatchObject({ state: VersionState.CHAMPION });
    await expect(alias('canary', 1)).resolves.toMatchObject({ state: VersionState.CHAMPION });
    await expect(alias('shadow', 1)).rejects.toMatchObject({ code: 'VERSION_STATE_ILLEGAL' });
    for (const reserved of ['latest', 'v2', 'with space'])
      await expect(alias(reserved, 1)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(alias('champion', 99)).rejects.toMatchObject({ code: 'VERSION_UNKNOWN' });
  });

  it('get numbers without gaps or doubles when many runs register at once, and a run that asks many times gets one', async () => {
    await registry.apply('crowd');
    const asks = Array.from({ length: 24 }, (_, i) => registration(`crowd-${i % 12}`, { model: 'crowd' }));
    const versions = await Promise.all(asks.map((request) => registry.client.registerVersion(request)));
    expect([...new Set(versions.map((v) => v.version))].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    for (let i = 0; i < 12; i++) expect(versions[i]!.version).toBe(versions[i + 12]!.version);
    const all = (await registry.client.listVersions({ model: 'crowd' })).versions;
    expect(all.filter((v) => v.state === VersionState.CHAMPION).map((v) => v.version)).toEqual([12]);
    await eventually('each version is registered once on Kafka', async () => {
      const registered = (await eventsOf('crowd')).filter((e) => e.startsWith('registered'));
      expect(registered).toEqual(Array.from({ length: 12 }, (_, i) => `registered ${i + 1}`));
    });
  });

  it('of models that nobody applied, of bad names and of unstorable text are refused', async () => {
    await expect(registry.client.registerVersion(registration('r', { model: 'nobody' }))).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' });
    await expect(registry.client.registerVersion(registration('r', { project: '../up' }))).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
    await expect(registry.client.registerVersion(registration('', {}))).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(registry.client.registerVersion(registration('nul', { baseline: { note: 'a\u0000b' } }))).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
    await expect(registry.client.getVersion({ model: 'small', version: 999 })).rejects.toMatchObject({ code: 'VERSION_UNKNOWN' });
    await expect(registry.client.getVersion({ model: 'small', alias: 'nobody' })).rejects.toMatchObject({ code: 'VERSION_UNKNOWN' });
  });
});

describe('records', () => {
  it('of judgements, aliases and changes cannot be rewritten, not even by SQL', async () => {
    for (const table of ['blessings', 'alias_history', 'audit', 'model_definitions']) {
      await expect(registry.sql(`delete from ${table}`)).rejects.toThrow(/append-only/);
      await expect(registry.sql(`truncate ${table} cascade`)).rejects.toThrow(/append-only/);
    }
    await expect(registry.sql('update blessings set blessed = true')).rejects.toThrow(/append-only/);
  });

  it('tell who moved a version through which states, and every holder of an alias', async () => {
    const steps = await registry.sql(
      `select action, before->>'state' as before, after->>'state' as after from audit where subject = 'small/1' order by id`,
    );
    expect(steps.map((s) => `${String(s.action)}: ${String(s.before)} -> ${String(s.after)}`)).toEqual([
      'register-version: null -> registered',
      'evaluate: registered -> evaluated',
      'bless: evaluated -> blessed',
      'promote: blessed -> champion',
      'replace: champion -> archived',
      'promote: archived -> champion',
    ]);
    expect(await registry.sql(`select previous_version, version, actor from alias_history where model = 'small' order by id`)).toEqual([
      { previous_version: 0, version: 1, actor: 'local' },
      { previous_version: 1, version: 2, actor: 'local' },
      { previous_version: 2, version: 1, actor: 'local' },
    ]);
  });

  it('outlive a restart, and read as JSON over HTTP', async () => {
    const before = await registry.client.getVersion({ model: 'small', alias: 'champion' });
    await registry.restart();
    expect(await registry.client.getVersion({ model: 'small', alias: 'champion' })).toEqual(before);
    const get = async (path: string): Promise<unknown> => (await fetch(`${registry.service.httpUrl}${path}`)).json();
    expect(await get('/models?project=other')).toMatchObject({ models: [{ name: 'mine', definitionVersion: 1 }] });
    expect(await get('/models/small')).toMatchObject({ name: 'small', aliases: { champion: 1 } });
    expect(await get('/models/small/versions/champion')).toMatchObject({
      version: 1,
      state: 'VERSION_STATE_CHAMPION',
      blessing: { blessed: true },
    });
    expect(await get('/models/small/versions/1')).toMatchObject({ version: 1 });
    expect(await get('/models/small/versions')).toMatchObject({
      versions: expect.arrayContaining([expect.objectContaining({ version: 2 })]) as unknown,
    });
    expect(await get('/models/nobody')).toMatchObject({ status: 404, code: 'MODEL_UNKNOWN' });
  });
});
