import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { isDefinitionOf, parseDefinition } from './definition.js';
import { parseDefinitionsFile } from './yaml-file.js';

const example = readFileSync(fileURLToPath(new URL('../../../examples/employment/definitions.yaml', import.meta.url)), 'utf8');

describe('definitions', () => {
  it('reads the employment example and fills in the defaults', () => {
    const [entity, view, labels, model] = parseDefinitionsFile(example, 'definitions.yaml');
    expect([entity, view, labels, model].map((d) => `${d?.kind} ${d?.name}`)).toEqual([
      'Entity person',
      'FeatureView person',
      'FeatureView employment',
      'Model employment',
    ]);
    if (!isDefinitionOf(model!, 'Model')) throw new Error('not a model');
    expect(model.spec.monitor).toMatchObject({ pane: 2000, minGroupSize: 100, drift: { psi: 0.2 } });
    expect(model.spec.retrain.cooldown).toBe(600_000);
  });

  it('hashes meaning, not spelling: a default written out changes nothing', () => {
    const [a] = parseDefinitionsFile('kind: Entity\nname: person\njoinKeys: [id]', 'a');
    const [b] = parseDefinitionsFile('name: person\njoinKeys:\n  - id\ndescription: ""\nkind: Entity', 'b');
    expect(a!.contentHash).toBe(b!.contentHash);
  });

  it('keeps the hashes that were stored before keys were added to the vocabulary', () => {
    expect(parseDefinitionsFile(example.replace('labels: true\n', ''), 'f').map((d) => d.contentHash.slice(0, 16))).toEqual([
      'b24a2b1e409380fe',
      'e2ad73120b7149fa',
      '2fb86d3313689077',
      '5ba0c28d39f336df',
    ]);
  });

  it('parses its own output to the same definition, so a spec may travel parsed', () => {
    for (const definition of parseDefinitionsFile(example, 'f')) {
      const again = parseDefinition({ kind: definition.kind, name: definition.name, ...structuredClone(definition.spec) }, 'rpc');
      expect(again).toEqual(definition);
    }
  });

  it.each([
    ['an unknown kind', 'kind: Thing\nname: x', /f.yaml:1: kind: unknown kind Thing/],
    ['a missing name', 'kind: Entity', /needs `kind` and `name`/],
    ['a bad name', 'kind: Entity\nname: 1x\njoinKeys: [a]', /must match/],
    ['an unknown key', 'kind: Entity\nname: x\njoinKeys: [a]\ncolour: red', /colour/],
    ['a bad duration', 'kind: FeatureView\nname: v\nentity: x\nttl: soon\nfeatures: [{name: a, type: int64}]', /ttl: .*duration/],
    ['a repeated feature', 'kind: FeatureView\nname: v\nentity: x\nfeatures: [{name: a, type: int64}, {name: a, type: bool}]', /unique/],
    [
      'two faults at once',
      'kind: FeatureView\nname: v\nttl: soon\nfeatures: []',
      /f.yaml:1: FeatureView v: entity: is missing.*\nf.yaml:3: .*ttl: .*\nf.yaml:4: .*features/,
    ],
    ['broken YAML', 'kind: [Entity', /f.yaml:\d+: /],
    ['the second document', 'kind: Entity\nname: x\njoinKeys: [a]\n---\nkind: Nope\nname: y', /f.yaml:5: kind: unknown kind Nope/],
  ])('refuses %s and says where', (_name, text, message) => {
    expect(() => parseDefinitionsFile(text, 'f.yaml')).toThrow(message);
  });

  it('refuses a fairness rule about an attribute that is not protected', () => {
    expect(() => parseDefinitionsFile(example.replace('protected: [person:DIS, ', 'protected: ['), 'f')).toThrow(
      /names DIS, which is not under `protected`/,
    );
  });
});
