import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { defineEntity, defineFeatureService, defineFeatureView, defineOnDemandView, definitionsYaml } from './define.js';
import { parseDefinitionsFile } from './yaml-file.js';

const YAML = `
kind: Entity
name: account
joinKeys: [id]
---
kind: FeatureView
name: payments
entity: account
ttl: 30d
features: [{ name: amount, type: float64, min: 0 }, { name: taste, type: embedding, dimension: 3 }]
aggregations: [{ function: sum, column: amount, windows: [1h, 1d] }]
---
kind: OnDemandView
name: spending
inputs: { spent: payments:amount }
features: [{ name: half, type: float64, expression: spent / 2 }]
---
kind: FeatureService
name: fraud
features: [payments:amount, { view: spending, feature: half, as: h }]
`;

describe('definitions in TypeScript', () => {
  const definitions = [
    defineEntity('account', { joinKeys: ['id'] }),
    defineFeatureView('payments', {
      entity: 'account',
      ttl: '30d',
      features: [
        { name: 'amount', type: 'float64', min: 0 },
        { name: 'taste', type: 'embedding', dimension: 3 },
      ],
      aggregations: [{ function: 'sum', column: 'amount', windows: ['1h', '24h'] }],
    }),
    defineOnDemandView('spending', {
      inputs: { spent: 'payments:amount' },
      features: [{ name: 'half', type: 'float64', expression: 'spent / 2' }],
    }),
    defineFeatureService('fraud', { features: ['payments:amount', { view: 'spending', feature: 'half', as: 'h' }] }),
  ];

  it('have the hashes of the same definitions in YAML', () => {
    expect(definitions.map((d) => d.contentHash)).toEqual(parseDefinitionsFile(YAML, 'f').map((d) => d.contentHash));
  });

  it('are written as YAML that reads as the same definitions, the example too', () => {
    expect(parseDefinitionsFile(definitionsYaml(definitions), 'f')).toEqual(definitions);
    const file = fileURLToPath(new URL('../../../examples/employment/definitions.yaml', import.meta.url));
    const example = parseDefinitionsFile(readFileSync(file, 'utf8'), 'f');
    expect(parseDefinitionsFile(definitionsYaml(example), 'f').map((d) => d.contentHash)).toEqual(example.map((d) => d.contentHash));
  });

  it('are refused with the reasons of YAML', () => {
    expect(() => defineEntity('x', { joinKeys: ['label'] })).toThrow(/Entity x: .*cannot be called label/);
  });
});
