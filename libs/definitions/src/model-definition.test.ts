import { describe, expect, it } from 'vitest';
import { modelSpec } from './model-definition.js';

const spec = (more: object): unknown => ({
  entity: 'person',
  features: ['person:age', 'person:city'],
  label: { view: 'work', feature: 'works' },
  trainingWindow: { from: '2015-01-01T00:00:00Z', to: '2016-01-01T00:00:00Z' },
  ...more,
});
const faults = (more: object): string[] =>
  modelSpec.safeParse(spec(more)).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];

describe('what a model says of its serving', () => {
  it('may be nothing: features that are missing are null, and no batch waits', () => {
    const parsed = modelSpec.parse(spec({}));
    expect(parsed.missingFeatures).toBe('null');
    // Absent, not empty: definitions that were applied before keep their content hash.
    expect(Object.keys(parsed)).not.toContain('defaults');
    expect(Object.keys(parsed)).not.toContain('serving');
  });

  it('may be defaults for its own features, and a short delay', () => {
    expect(faults({ missingFeatures: 'default', defaults: { age: 40, city: 'Bern' }, serving: { batchDelay: '2ms' } })).toEqual([]);
    expect(modelSpec.parse(spec({ serving: { batchDelay: '2ms' } })).serving).toEqual({ batchDelay: 2 });
  });

  it.each<[string, object, string]>([
    ['defaults without asking for them', { defaults: { age: 40 } }, 'defaults: defaults are only taken with `missingFeatures: default`'],
    [
      'a default of another feature',
      { missingFeatures: 'default', defaults: { size: 1 } },
      'defaults.size: size is not among the features',
    ],
    ['a delay beyond a second', { serving: { batchDelay: '2s' } }, 'serving.batchDelay: at most 1s'],
  ])('may not be %s', (_, more, fault) => {
    expect(faults(more)).toEqual([fault]);
  });
});

describe('what a model says of its prediction log', () => {
  const rule = { attribute: 'sex', ceiling: 0.1 };
  const watched = (redact: object): object => ({ protected: ['person:sex'], monitor: { bias: [rule] }, predictionLog: { redact } });

  it('may be nothing, and a definition without it keeps its content hash', () => {
    expect(Object.keys(modelSpec.parse(spec({})))).not.toContain('predictionLog');
    expect(modelSpec.parse(spec({ predictionLog: {} })).predictionLog).toEqual({ redact: {} });
  });

  it('may be a share of the requests, and what stands in the place of features, protected attributes and entity keys', () => {
    const predictionLog = { sampleRate: 0.1, redact: { age: 'omit', sex: 'hash' }, entity: 'hash' };
    expect(modelSpec.parse(spec({ protected: ['person:sex'], predictionLog })).predictionLog).toEqual(predictionLog);
  });

  it.each<[string, object, string]>([
    ['more than all', { predictionLog: { sampleRate: 1.5 } }, 'predictionLog.sampleRate: Too big: expected number to be <=1'],
    [
      'a column that is not logged',
      { predictionLog: { redact: { size: 'omit' } } },
      'predictionLog.redact.size: size is neither among the features nor under `protected`',
    ],
    [
      'clear on purpose',
      { predictionLog: { redact: { age: 'clear' } } },
      'predictionLog.redact.age: Invalid option: expected one of "omit"|"hash"',
    ],
    [
      'silence about an attribute that a rule watches',
      watched({ sex: 'omit' }),
      'predictionLog.redact.sex: a rule under `monitor.bias` compares the groups of sex; take `hash`, which keeps them apart',
    ],
  ])('may not be %s', (_, more, fault) => {
    expect(faults(more)).toEqual([fault]);
  });

  it('may be tokens of an attribute that a rule watches', () => {
    expect(faults(watched({ sex: 'hash' }))).toEqual([]);
  });
});

describe('a regression', () => {
  const regression = (more: object): object => ({ task: 'regression', threshold: 15, ...more });

  it('has errors with a ceiling, skills with a floor, and a threshold in the unit of its label', () => {
    const gates = {
      quality: [
        { metric: 'mae', ceiling: 20 },
        { metric: 'rmse_skill', floor: 0.01 },
      ],
      relative: [{ metric: 'r2', maxDrop: 0.02 }],
    };
    expect(faults(regression({ gates, naive: 'person:city' }))).toEqual([]);
    expect(Object.keys(modelSpec.parse(spec({})))).not.toContain('naive');
  });

  it.each<[string, object, string]>([
    [
      'gates of a classifier',
      regression({ gates: { quality: [{ metric: 'auc', floor: 0.6 }] } }),
      'gates.quality.0.metric: auc is not measured for a model with the task regression',
    ],
    [
      'a classifier that gates on an error',
      { gates: { quality: [{ metric: 'mae', ceiling: 1 }] } },
      'gates.quality.0.metric: mae is not measured for a model with the task binary_classification',
    ],
    [
      'a learner of classes',
      regression({ learner: { kind: 'logistic_regression' } }),
      'learner.kind: logistic_regression does no regression; take lightgbm',
    ],
    [
      'weights of classes',
      regression({ retrain: { mitigation: 'reweighing' } }),
      'retrain.mitigation: reweighing weighs classes, and a regression has none; take none',
    ],
    ['a probability beyond 1', { threshold: 15 }, 'threshold: a probability lies between 0 and 1'],
    ['a naive prediction of a class', { naive: 'person:age' }, 'naive: applies to the task regression; remove it'],
  ])('is not mixed with a classifier: %s', (_, more, fault) => {
    expect(faults(more)).toEqual([fault]);
  });
});
