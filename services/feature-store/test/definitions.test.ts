import { Change, FieldStatus } from '@headrace/contracts/features/v1/features';
import { eventually } from '@headrace/testkit/eventually';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { definitionsOf, startHarness, type Harness } from './harness.js';

const ENTITY = 'kind: Entity\nname: person\njoinKeys: [id]\n';
const view = (features: string, more = ''): string => `kind: FeatureView\nname: person\nentity: person\n${more}features: [${features}]\n`;
const AGE = '{ name: age, type: int64 }';
const CITY = '{ name: city, type: string }';

let h: Harness;
beforeAll(async () => {
  h = await startHarness();
});
afterAll(() => h.close());

const apply = async (yaml: string, more: object = {}): Promise<unknown[]> =>
  (await h.client.apply({ definitions: definitionsOf(yaml), ...more })).applied.map(({ kind, name, version, change }) => [
    kind,
    name,
    version,
    change,
  ]);
const push = (id: string, values: object, project = ''): Promise<unknown> =>
  h.client.publishRows({ project, view: 'person', rows: [{ entity: { id }, eventTime: new Date('2016-01-01T00:00:00Z'), values }] });
const read = async (id: string, features: string[], project = ''): Promise<unknown> => {
  const { vectors } = await h.client.getOnlineFeatures({ project, features, entities: [{ keys: { id } }] });
  return vectors[0]!.values.map((value, i) => (vectors[0]!.statuses[i] === FieldStatus.PRESENT ? value : vectors[0]!.statuses[i]));
};

describe('definitions', () => {
  it('can be tried without effect, applied, and applied again without change', async () => {
    const document = `${view(AGE)}---\n${ENTITY}`;
    expect(await apply(document, { dryRun: true })).toEqual([
      ['FeatureView', 'person', 1, Change.CREATED],
      ['Entity', 'person', 1, Change.CREATED],
    ]);
    expect((await h.client.listViews({})).views).toEqual([]);
    expect(await apply(document)).toEqual([
      ['FeatureView', 'person', 1, Change.CREATED],
      ['Entity', 'person', 1, Change.CREATED],
    ]);
    expect(await apply(document)).toEqual([
      ['FeatureView', 'person', 1, Change.UNCHANGED],
      ['Entity', 'person', 1, Change.UNCHANGED],
    ]);
  });

  it('give a view new features while its old rows stay readable, online and offline', async () => {
    await push('old', { age: 1 });
    expect(await apply(view(`${CITY}, ${AGE}`))).toEqual([['FeatureView', 'person', 2, Change.UPDATED]]);
    expect(await read('old', ['person:age', 'person:city'])).toEqual([1, FieldStatus.NULL_VALUE]);
    await push('new', { age: 2, city: 'x' });
    expect(await read('new', ['person:age', 'person:city'])).toEqual([2, 'x']);
    await push('old', { age: 1 }); // recognised although the view changed
    expect(await h.offlineRows('person')).toBe(2);
  });

  it('bring online blobs to the newest layout by themselves', async () => {
    const redis = new Redis(h.redisUrl);
    const layout = async (id: string): Promise<string | undefined> =>
      (await redis.getBuffer(`hr:{default/person/${id}}:person`))?.subarray(1, 5).toString('hex');
    await eventually('both blobs have one layout', async () => expect(await layout('old')).toBe(await layout('new')));
    redis.disconnect();
    expect(await read('old', ['person:age', 'person:city'])).toEqual([1, FieldStatus.NULL_VALUE]);
  });

  it('bring a view online when it is declared so later', async () => {
    await apply(`kind: FeatureView\nname: late\nentity: person\nonline: false\nfeatures: [${AGE}]`);
    await h.client.publishRows({
      view: 'late',
      rows: [{ entity: { id: '1' }, eventTime: new Date('2016-01-01T00:00:00Z'), values: { age: 5 } }],
    });
    await apply(`kind: FeatureView\nname: late\nentity: person\nfeatures: [${AGE}]`);
    await eventually('the row is online', async () => expect(await read('1', ['late:age'])).toEqual([5]));
  });

  it.each<[string, string, string]>([
    ['a type change', view(`{ name: age, type: string }, ${CITY}`), 'DEFINITION_CONFLICT'],
    ['an unknown entity', 'kind: FeatureView\nname: x\nentity: ghost\nfeatures: [{ name: a, type: bool }]', 'ENTITY_UNKNOWN'],
  ])('with %s are refused, and nothing of the request is kept', async (_name, bad, code) => {
    const good = 'kind: Entity\nname: bystander\njoinKeys: [b]\n';
    await expect(apply(`${good}---\n${bad}`)).rejects.toMatchObject({ code, message: expect.stringMatching(/^FeatureView \w+: /) });
    expect(await apply(good, { dryRun: true })).toEqual([['Entity', 'bystander', 1, Change.CREATED]]);
  });

  it('of another service or of no known form are refused', async () => {
    await expect(h.client.apply({ definitions: [{ kind: 'Model', name: 'm', spec: {} }] })).rejects.toMatchObject({
      code: 'DEFINITION_INVALID',
    });
    await expect(h.client.apply({ definitions: [{ kind: 'Entity', name: 'e', spec: { joinKeys: 'id' } }] })).rejects.toMatchObject({
      code: 'DEFINITION_INVALID',
      message: expect.stringContaining('definition 1'),
    });
    await expect(h.client.apply({ definitions: [] })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  it('applied by many at once end in one version', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => apply(`${ENTITY}---\n${view(`${CITY}, ${AGE}, { name: third, type: bool }`)}`)),
    );
    expect(answers.filter(([, last]) => (last as unknown[])[3] === Change.UPDATED)).toHaveLength(1);
    expect(new Set(answers.map(([, last]) => (last as unknown[])[2]))).toEqual(new Set([3]));
  });
});

describe('a feature that is taken away', () => {
  const some = (features: string): string => `kind: FeatureView\nname: shrinking\nentity: person\nfeatures: [${features}]\n`;
  const service = 'kind: FeatureService\nname: reader\nfeatures: [shrinking:city]\n';
  const readService = (): Promise<unknown> => h.client.getOnlineFeatures({ featureService: 'reader', entities: [{ keys: { id: 'q' } }] });

  it('needs the registry to say that no model reads it, and is refused while a service does', async () => {
    await apply(`${some(`${AGE}, ${CITY}`)}---\n${service}`);
    // No registry runs here.
    await expect(apply(some(AGE))).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });

  it('leaves a service that says so when the break was allowed, and may come back with its values', async () => {
    const row = { entity: { id: 'q' }, eventTime: new Date('2016-01-01T00:00:00Z'), values: { age: 1, city: 'Bern' } };
    await h.client.publishRows({ view: 'shrinking', rows: [row] });
    expect(await apply(some(AGE), { allowBreaking: true })).toEqual([['FeatureView', 'shrinking', 2, Change.UPDATED]]);
    await eventually('the service says that it is broken', () =>
      readService().then(
        () => false,
        (error: { code: string }) => error.code === 'DEFINITION_CONFLICT',
      ),
    );
    expect(await read('q', ['shrinking:age'])).toEqual([1]);
    await expect(apply(some('{ name: city, type: bool }'), { allowBreaking: true })).rejects.toThrow(
      /city cannot change from string to bool/,
    );
    await apply(some(`${AGE}, ${CITY}`));
    await h.client.rebuildOnline({ view: 'shrinking' });
    expect(await read('q', ['shrinking:city'])).toEqual(['Bern']);
    await eventually('the service answers again', () =>
      readService().then(
        () => true,
        () => false,
      ),
    );
  });

  it('is shown by a plan, which changes nothing', async () => {
    const { applied } = await h.client.apply({
      definitions: definitionsOf(some(`${AGE}, { name: city, type: string, maxLength: 9 }`)),
      dryRun: true,
    });
    expect(applied[0]).toMatchObject({
      version: 4,
      change: Change.UPDATED,
      differences: [{ path: 'features.city.maxLength', before: '', after: '9' }],
      affected: ['FeatureService reader'],
    });
  });
});

describe('projects', () => {
  it('never meet: same names, other definitions, other rows', async () => {
    await apply(`${ENTITY}---\n${view(AGE)}`, { project: 'other' });
    await push('old', { age: 77 }, 'other');
    expect(await read('old', ['person:age'], 'other')).toEqual([77]);
    expect(await read('old', ['person:age'])).toEqual([1]);
    expect((await h.client.listViews({ project: 'other' })).views.map((v) => [v.name, v.version, v.offlineRows])).toEqual([
      ['person', 1, 1],
    ]);
    await expect(apply(ENTITY, { project: '../x' })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('time to live', () => {
  it('hides a value that is too old and says so, with its time', async () => {
    await apply(`kind: FeatureView\nname: short\nentity: person\nttl: 1h\nfeatures: [${AGE}]`);
    const [fresh, old] = [new Date(Date.now() - 60_000), new Date(Date.now() - 3_700_000)];
    await h.client.publishRows({
      view: 'short',
      rows: [
        { entity: { id: 'f' }, eventTime: fresh, values: { age: 1 } },
        { entity: { id: 'o' }, eventTime: old, values: { age: 2 } },
      ],
    });
    const { vectors } = await h.client.getOnlineFeatures({
      features: ['short:age', 'person:age'],
      entities: [{ keys: { id: 'f' } }, { keys: { id: 'o' } }],
    });
    expect(vectors.map((v) => [v.values[0], v.statuses[0], v.eventTimes[0]])).toEqual([
      [1, FieldStatus.PRESENT, fresh],
      [null, FieldStatus.OUTSIDE_MAX_AGE, old],
    ]);
  });
});

it('lists its views over HTTP with specs and rows', async () => {
  const answer = (await (await fetch(`${h.service.httpUrl}/views`)).json()) as { views: { name: string; spec: { ttl: number } }[] };
  expect(answer.views.map((v) => v.name)).toEqual(['late', 'person', 'short', 'shrinking']);
  expect(answer.views[2]).toMatchObject({ version: 1, offlineRows: 2, spec: { ttl: 3_600_000, entity: 'person', online: true } });
});

it('keeps rows in one partition for each year, made when they are needed', async () => {
  const client = new pg.Client({ connectionString: h.postgresUrl });
  await client.connect();
  const times = ['1969-07-20T00:00:00Z', '2015-12-31T23:59:59.999Z', '2016-01-01T00:00:00Z'];
  await h.client.publishRows({ view: 'late', rows: times.map((time) => ({ entity: { id: 'p' }, eventTime: new Date(time), values: {} })) });
  const { rows } = await client.query<{ name: string }>(
    "SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p' JOIN views v ON p.relname = 'view_rows_' || v.id AND v.name = 'late' ORDER BY 1",
  );
  expect(rows.map((r) => r.name.replace(/^view_rows_\d+_/, ''))).toEqual(['p196901', 'p201501', 'p201601']);
  await client.end();
});
