import { isDefinitionOf, parseDefinition, type ModelDefinition } from '@headrace/definitions/definition';
import { describe, expect, it } from 'vitest';
import { judge, type Candidate } from './blessing-rules.js';
import { readEvaluation } from './evaluation.js';

const definition = parseDefinition(
  {
    kind: 'Model',
    name: 'employment',
    entity: 'person',
    features: ['person:AGEP'],
    protected: ['person:DIS', 'person:SEX'],
    label: { view: 'employment', feature: 'employed' },
    trainingWindow: { from: '2015-01-01T00:00:00Z', to: '2016-01-01T00:00:00Z' },
    gates: {
      quality: [{ metric: 'accuracy', floor: 0.78 }],
      relative: [{ metric: 'accuracy', maxDrop: 0.03 }],
      fairness: [{ attribute: 'SEX', ceiling: 0.1 }],
      mitigatedCeiling: 0.2,
    },
  },
  'test',
);
if (!isDefinitionOf(definition, 'Model')) throw new Error('a Model definition parses as a Model');
const spec: ModelDefinition['spec'] = definition.spec;

const evaluation = (accuracy: unknown, sex: unknown = 0.05, dis: unknown = 0.6): unknown => ({
  metrics: { accuracy, auc: 0.9 },
  groups: [
    { attribute: 'SEX', equal_opportunity_difference: sex },
    { attribute: 'DIS', equal_opportunity_difference: dis },
  ],
});
const candidate = (over: Partial<Candidate>): Candidate => ({
  spec,
  evaluation: readEvaluation(evaluation(0.8)),
  champion: undefined,
  mitigatedAttribute: undefined,
  servabilityFaults: [],
  ...over,
});
const refusals = (over: Partial<Candidate>): string[] =>
  judge(candidate(over))
    .gates.filter((g) => !g.passed)
    .map((g) => g.gate);

describe('blessing rules', () => {
  it('bless a first version that meets its floors, and record each gate with value, threshold and sentence', () => {
    expect(judge(candidate({}))).toEqual({
      blessed: true,
      championVersion: 0,
      gates: [
        {
          gate: 'servability',
          value: 0,
          threshold: 0,
          passed: true,
          sentence: 'artefact, signature and golden rows are complete, so serving can load and verify it',
        },
        {
          gate: 'quality:accuracy',
          value: 0.8,
          threshold: 0.78,
          passed: true,
          sentence: 'accuracy on the holdout is 0.8, which reaches the floor 0.78',
        },
        {
          gate: 'fairness:SEX:equal_opportunity_difference',
          value: 0.05,
          threshold: 0.1,
          passed: true,
          sentence: 'equal_opportunity_difference over SEX is 0.05, which stays within the ceiling 0.1',
        },
      ],
    });
  });

  it.each<[string, Partial<Candidate>, string[]]>([
    ['at the floor', { evaluation: readEvaluation(evaluation(0.78)) }, []],
    ['just under the floor', { evaluation: readEvaluation(evaluation(0.7799)) }, ['quality:accuracy']],
    ['at the ceiling', { evaluation: readEvaluation(evaluation(0.8, 0.1)) }, []],
    ['over the ceiling', { evaluation: readEvaluation(evaluation(0.8, 0.1001)) }, ['fairness:SEX:equal_opportunity_difference']],
    ['within the drop from the champion', { champion: { version: 1, evaluation: readEvaluation(evaluation(0.82)) } }, []],
    ['below the drop from the champion', { champion: { version: 1, evaluation: readEvaluation(evaluation(0.84)) } }, ['relative:accuracy']],
    ['compared with a champion that was not measured', { champion: { version: 1, evaluation: readEvaluation({}) } }, ['relative:accuracy']],
    ['mitigated on an attribute that is still unfair', { mitigatedAttribute: 'DIS' }, ['mitigated:DIS']],
    ['mitigated well', { mitigatedAttribute: 'DIS', evaluation: readEvaluation(evaluation(0.8, 0.05, 0.2)) }, []],
    ['mitigated on an attribute that was not reported', { mitigatedAttribute: 'RAC1P' }, ['mitigated:RAC1P']],
    ['not servable', { servabilityFaults: ['the signature is missing'] }, ['servability']],
  ])('%s', (_name, over, refused) => {
    expect(refusals(over)).toEqual(refused);
    expect(judge(candidate(over)).blessed).toBe(refused.length === 0);
  });

  it('bless a regression whose errors stay under their ceilings and whose skill reaches its floor', () => {
    const parsed = parseDefinition(
      {
        ...{ kind: 'Model', name: 'delay', task: 'regression', threshold: 15, entity: 'flight', features: ['flight:hour'] },
        ...{ label: { view: 'delay', feature: 'minutes' }, trainingWindow: spec.trainingWindow },
        gates: {
          quality: [
            { metric: 'rmse', ceiling: 40 },
            { metric: 'rmse_skill', floor: 0.02 },
          ],
          relative: [{ metric: 'r2', maxDrop: 0.05 }],
        },
      },
      'test',
    );
    if (!isDefinitionOf(parsed, 'Model')) throw new Error('a Model definition parses as a Model');
    const verdicts = (rmse: number | null, skill: number): [string, boolean][] =>
      judge(candidate({ spec: parsed.spec, evaluation: readEvaluation({ metrics: { rmse, rmse_skill: skill }, groups: [] }) })).gates.map(
        ({ gate, passed }) => [gate, passed],
      );
    expect(verdicts(40, 0.02)).toEqual([
      ['servability', true],
      ['quality:rmse', true],
      ['quality:rmse_skill', true],
    ]);
    expect(
      verdicts(40.1, 0.01)
        .slice(1)
        .map(([, passed]) => passed),
    ).toEqual([false, false]);
    expect(verdicts(null, 0.5)[1]).toEqual(['quality:rmse', false]);
  });

  it.each([
    ['null', evaluation(null, null)],
    ['NaN', evaluation(Number.NaN, Number.NaN)],
    ['a text', evaluation('0.99', '0')],
    ['left out', { metrics: {}, groups: [] }],
    ['no document', undefined],
    ['a list', []],
    ['of another shape', { metrics: 7, groups: 'none' }],
  ])('refuse a version whose numbers are %s, and do not crash', (_name, document) => {
    const verdicts = judge(
      candidate({
        evaluation: readEvaluation(document),
        mitigatedAttribute: 'DIS',
        champion: { version: 3, evaluation: readEvaluation(evaluation(0.8)) },
      }),
    );
    expect(verdicts.blessed).toBe(false);
    const accuracy = verdicts.gates.find((g) => g.gate === 'quality:accuracy')!;
    expect(accuracy.value).toBeNaN();
    expect(accuracy.sentence).toMatch(/was not measured/);
  });

  it('does not read inherited properties as metrics', () => {
    expect(readEvaluation({ metrics: JSON.parse('{"__proto__": {"accuracy": 1}}') as unknown }).metrics.accuracy).toBeUndefined();
  });
});
