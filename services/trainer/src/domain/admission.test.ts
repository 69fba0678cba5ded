import { isDefinitionOf, parseDefinition } from '@headrace/definitions/definition';
import { describe, expect, it } from 'vitest';
import { admit, mitigationFault, REASONS } from './admission.js';

describe('admission', () => {
  it('holds only alerts back, and only until the cool-down after the last alert is over', () => {
    for (const reason of REASONS) {
      expect(admit(reason, 1_000, undefined, 5_000)).toEqual({ kind: 'queue' });
      expect(admit(reason, 1_000, 4_000, 5_000)).toEqual({ kind: 'queue' });
      expect(admit(reason, 1_000, 4_001, 5_000)).toEqual(reason === 'alert' ? { kind: 'cooling', untilMs: 5_001 } : { kind: 'queue' });
    }
    expect(admit('alert', 0, 5_000, 5_000)).toEqual({ kind: 'queue' });
  });

  it('knows which mitigations a model allows', () => {
    const definition = parseDefinition(
      {
        kind: 'Model',
        name: 'm',
        entity: 'e',
        features: ['v:a'],
        protected: ['v:sex'],
        label: { view: 'l', feature: 'y' },
        trainingWindow: { from: '2015-01-01T00:00:00Z', to: '2016-01-01T00:00:00Z' },
      },
      'test',
    );
    if (!isDefinitionOf(definition, 'Model')) throw new Error('a Model definition parses as a Model');
    expect(mitigationFault({ method: 'reweighing', attribute: 'sex' }, definition.spec)).toBeUndefined();
    expect(mitigationFault({ method: 'reweighing', attribute: 'a' }, definition.spec)).toMatch(
      /"a" is not protected in the model; protected: sex/,
    );
    expect(mitigationFault({ method: 'magic', attribute: 'sex' }, definition.spec)).toMatch(/known: none, reweighing/);
  });
});
