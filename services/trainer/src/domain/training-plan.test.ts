import { isDefinitionOf, parseDefinition, type FeatureViewDefinition, type ModelDefinition } from '@headrace/definitions/definition';
import { describe, expect, it } from 'vitest';
import { entityColumns, planTraining, runtimeSpec } from './training-plan.js';

const model = (more: object = {}): ModelDefinition => {
  const definition = parseDefinition(
    {
      ...{ kind: 'Model', name: 'm', entity: 'person', features: ['person:AGEP', 'person:SEX'], protected: ['person:SEX', 'person:DIS'] },
      ...{
        label: { view: 'employment', feature: 'employed' },
        trainingWindow: { from: '2015-01-01T00:00:00Z', to: '2016-01-01T00:00:00Z' },
        ...more,
      },
    },
    'test',
  );
  if (!isDefinitionOf(definition, 'Model')) throw new Error('a Model definition parses as a Model');
  return definition;
};
const view = (name: string, features: object[]): [string, FeatureViewDefinition] => [
  name,
  parseDefinition({ kind: 'FeatureView', name, entity: 'person', features }, 'test') as FeatureViewDefinition,
];
const views = new Map([
  view('person', [
    { name: 'AGEP', type: 'int64' },
    { name: 'SEX', type: 'int64', categorical: true },
    { name: 'DIS', type: 'int64', categorical: true },
    { name: 'since', type: 'timestamp' },
  ]),
  view('employment', [{ name: 'employed', type: 'int64' }]),
]);

describe('training plan', () => {
  it('types an aggregation by what it makes of its column', () => {
    const carrier = parseDefinition(
      {
        ...{ kind: 'FeatureView', name: 'carrier', entity: 'person', features: [{ name: 'delay', type: 'int64', categorical: true }] },
        aggregations: [{ function: 'mean', column: 'delay', windows: ['1h'] }],
      },
      'test',
    ) as FeatureViewDefinition;
    const plan = planTraining(model({ features: ['carrier:delay_mean_1h'], protected: [] }), new Map([...views, ['carrier', carrier]]));
    expect(plan.features).toEqual([{ name: 'delay_mean_1h', reference: 'carrier:delay_mean_1h', type: 'float64', categorical: false }]);
  });

  it('asks for features and protected attributes once each, and types them by their views', () => {
    const plan = planTraining(model(), views);
    expect(plan.trainingSet).toEqual({
      labelView: 'employment',
      labelFeature: 'employed',
      features: ['person:AGEP', 'person:SEX', 'person:DIS'],
      from: new Date('2015-01-01T00:00:00Z'),
      to: new Date('2016-01-01T00:00:00Z'),
    });
    expect(plan.features).toEqual([
      { name: 'AGEP', reference: 'person:AGEP', type: 'int64', categorical: false },
      { name: 'SEX', reference: 'person:SEX', type: 'int64', categorical: true },
    ]);
    expect(plan.protectedFeatures.map((f) => f.name)).toEqual(['SEX', 'DIS']);
  });

  it.each([
    [{ features: ['nowhere:x'] }, 'VIEW_UNKNOWN', /there is no feature view nowhere/],
    [{ features: ['person:x'] }, 'DEFINITION_INVALID', /has no feature x; it has AGEP, SEX/],
    [{ features: ['person:since'] }, 'DEFINITION_INVALID', /is a timestamp/],
    [{ label: { view: 'employment', feature: 'x' } }, 'DEFINITION_INVALID', /employment:x/],
  ])('refuses %j with %s', (more, code, message) => {
    expect(() => planTraining(model(more), views)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) as string }),
    );
  });

  it('takes the other columns of a set as its keys, and refuses a set that lacks what was asked for', () => {
    const plan = planTraining(model(), views);
    const columns = ['house', 'person', 'event_time', 'person__AGEP', 'person__SEX', 'person__DIS', 'label'];
    expect(entityColumns(columns, plan)).toEqual(['house', 'person']);
    expect(() =>
      entityColumns(
        columns.filter((c) => c !== 'person__DIS'),
        plan,
      ),
    ).toThrow(/missing: person__DIS/);
    expect(() => entityColumns(columns.slice(2), plan)).toThrow(/no entity key/);
  });

  it('asks for the naive answer of a regression beside the features, and hands it to the runtime', () => {
    const definition = model({ task: 'regression', threshold: 15, naive: 'person:DIS', protected: [] });
    const plan = planTraining(definition, views);
    expect(plan.trainingSet.features).toEqual(['person:AGEP', 'person:SEX', 'person:DIS']);
    expect(plan.features.map((f) => f.name)).toEqual(['AGEP', 'SEX']);
    const facts = { runId: 'r', project: 'p', path: 'x', sha256: 'a'.repeat(64), keys: ['k'], mitigation: undefined };
    expect(runtimeSpec(definition, plan, facts)).toMatchObject({
      ...{ task: 'regression', threshold: 15, label: { column: 'label' }, naive: { column: 'person__DIS' } },
    });
    expect(runtimeSpec(definition, plan, facts).label).not.toHaveProperty('positive');
    const text = new Map([...views, view('more', [{ name: 'city', type: 'string' }])]);
    expect(() => planTraining(model({ task: 'regression', naive: 'more:city' }), text)).toThrow(/more:city, which is no number/);
  });

  it('writes the spec that the runtime reads', () => {
    const definition = model();
    const facts = {
      runId: 'r',
      project: 'default',
      path: 'set.parquet',
      sha256: 'a'.repeat(64),
      keys: ['person_id'],
      mitigation: { method: 'reweighing', attribute: 'DIS' } as const,
    };
    expect(runtimeSpec(definition, planTraining(definition, views), facts)).toEqual({
      ...{
        runId: 'r',
        project: 'default',
        model: 'm',
        trainingSet: { path: 'set.parquet', sha256: 'a'.repeat(64) },
        entityColumns: ['person_id'],
        eventTimeColumn: 'event_time',
      },
      features: [
        { name: 'AGEP', column: 'person__AGEP', type: 'int64', categorical: false },
        { name: 'SEX', column: 'person__SEX', type: 'int64', categorical: true },
      ],
      label: { column: 'label', positive: 1 },
      protected: [
        { name: 'SEX', column: 'person__SEX' },
        { name: 'DIS', column: 'person__DIS' },
      ],
      ...{ task: 'binary_classification', learner: { kind: 'lightgbm', params: {} }, seed: 7, threshold: 0.5, holdout: { fraction: 0.2 } },
      mitigation: { method: 'reweighing', attribute: 'DIS' },
    });
  });
});
