import { Signature } from '@headrace/contracts/registry/v1/registry';
import { isDefinitionOf, parseDefinition, type ModelDefinition } from '@headrace/definitions/definition';
import { expect, it } from 'vitest';
import { servabilityFaults } from './servability.js';

const specOf = (more: object): ModelDefinition['spec'] => {
  const definition = parseDefinition(
    {
      ...{ kind: 'Model', name: 'm', entity: 'flight', features: ['flight:hour'], label: { view: 'arrival', feature: 'delay' } },
      ...{ trainingWindow: { from: '2015-01-01T00:00:00Z', to: '2016-01-01T00:00:00Z' }, ...more },
    },
    'test',
  );
  if (!isDefinitionOf(definition, 'Model')) throw new Error('a Model definition parses as a Model');
  return definition.spec;
};
const regression = specOf({ task: 'regression', threshold: 15 });
const classifier = specOf({});

const faults = (spec: ModelDefinition['spec'], output: string, threshold: number, answer: object): string[] =>
  servabilityFaults(
    spec,
    Signature.fromPartial({
      features: [{ name: 'hour', reference: 'flight:hour', type: 'int64' }],
      ...{ entityKeys: ['flight'], threshold, outputs: ['label', output] },
    }),
    {
      inputs: [{ name: 'features', elementType: 1, shape: [null, 1] }],
      outputs: ['label', output].map((name) => ({ name, elementType: 1, shape: [null, 1] })),
      nodes: 1,
      faults: [],
    },
    { rows: [{ features: { hour: 17 }, label: 1, ...answer }] },
  );

it('takes a regression that answers values, and a classifier that answers probabilities', () => {
  expect(faults(regression, 'value', 15, { value: 250 })).toEqual([]);
  expect(faults(classifier, 'probabilities', 0.5, { probability: 0.9 })).toEqual([]);
});

it.each<[string, string[], RegExp]>([
  ['a regression with the output of a classifier', faults(regression, 'probabilities', 15, { value: 1 }), /names no output value/],
  ['a classifier with the output of a regression', faults(classifier, 'value', 0.5, { probability: 1 }), /names no output probabilities/],
  ['a threshold in minutes for a probability', faults(classifier, 'probabilities', 15, { probability: 1 }), /15 is not between 0 and 1/],
  ['a threshold that is no number', faults(regression, 'value', Number.NaN, { value: 1 }), /NaN is not a number/],
  ['golden rows without a value', faults(regression, 'value', 15, { probability: 0.5 }), /golden row 0 does not hold a value/],
  ['a probability of 250', faults(classifier, 'probabilities', 0.5, { probability: 250 }), /golden row 0 does not hold a probability/],
])('refuses %s', (_name, found, fault) => {
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(fault);
});
