import { parseDefinition } from '@headrace/definitions/definition';
import { describe, expect, it } from 'vitest';
import { planDefinitions, type Catalogue, type StoredDefinition } from './definition-plan.js';

const entity = (name: string, ...joinKeys: string[]): StoredDefinition =>
  parseDefinition({ kind: 'Entity', name, joinKeys }, 't') as StoredDefinition;
const view = (features: object[], more: object = {}): StoredDefinition =>
  parseDefinition({ kind: 'FeatureView', name: 'v', entity: 'person', features, ...more }, 't') as StoredDefinition;
const age = { name: 'age', type: 'int64' };
const city = { name: 'city', type: 'string' };

const NOTHING: Catalogue = { entities: new Map(), views: new Map() };

/** The catalogue after applying, one call after the other. */
function applied(...steps: StoredDefinition[][]): Catalogue {
  let catalogue = NOTHING;
  for (const step of steps) {
    const entities = new Map(catalogue.entities);
    const views = new Map(catalogue.views);
    for (const { definition, version } of planDefinitions(catalogue, step)) {
      if (definition.kind === 'Entity') entities.set(definition.name, { definition, version });
      else views.set(definition.name, { definition, version });
    }
    catalogue = { entities, views };
  }
  return catalogue;
}

const base = applied([entity('person', 'id'), view([age, city])]);
const summary = (stored: Catalogue, wanted: StoredDefinition[]): string[] =>
  planDefinitions(stored, wanted).map(
    (c) => `${c.definition.name} ${c.change} ${c.version}${c.addedFields.map((f) => ` +${f.name}`).join('')}`,
  );

describe('applying definitions', () => {
  it('creates entities before the views that need them, whatever their order', () => {
    expect(summary(NOTHING, [view([age]), entity('person', 'id')])).toEqual(['person created 1', 'v created 1']);
  });

  it('changes nothing when the content is the same', () => {
    expect(summary(base, [view([age, city]), entity('person', 'id')])).toEqual(['person unchanged 1', 'v unchanged 1']);
  });

  it('counts a version up for each change that stored rows can follow', () => {
    expect(summary(base, [view([{ name: 'new', type: 'bool' }, city, age])])).toEqual(['v updated 2 +new']);
    expect(summary(base, [view([{ ...age, min: 0 }, city], { ttl: '1d', online: false })])).toEqual(['v updated 2']);
    const twice = applied([entity('person', 'id'), view([age])], [view([age], { ttl: '1d' })]);
    expect(summary(twice, [view([age])])).toEqual(['v updated 3']);
  });

  it('lets an entity that no view uses change its join keys', () => {
    expect(summary(applied([entity('person', 'id')]), [entity('person', 'a', 'b')])).toEqual(['person updated 2']);
  });

  it.each<[string, StoredDefinition[], string, RegExp]>([
    ['a removed feature', [view([age])], 'DEFINITION_CONFLICT', /feature city cannot be removed/],
    ['a renamed feature', [view([age, { ...city, name: 'town' }])], 'DEFINITION_CONFLICT', /feature city cannot be removed/],
    ['a changed type', [view([{ ...age, type: 'float64' }, city])], 'DEFINITION_CONFLICT', /age cannot change from int64 to float64/],
    [
      'a new feature without null',
      [view([age, city, { name: 'x', type: 'bool', nullable: false }])],
      'DEFINITION_CONFLICT',
      /new feature x must be nullable/,
    ],
    [
      'another entity',
      [entity('house', 'id'), view([age, city], { entity: 'house' })],
      'DEFINITION_CONFLICT',
      /entity cannot change from person to house/,
    ],
    [
      'other join keys of an entity in use',
      [entity('person', 'id', 'year')],
      'DEFINITION_CONFLICT',
      /rows of view v are stored under the old ones/,
    ],
    ['an unknown entity', [view([age, city], { name: 'w', entity: 'ghost' })], 'ENTITY_UNKNOWN', /entity ghost is not defined/],
    ['two definitions of one name', [view([age, city]), view([age])], 'DEFINITION_INVALID', /defined twice/],
    ['a repeated join key', [entity('x', 'a', 'a')], 'DEFINITION_INVALID', /must be unique/],
    ['a join key called label', [entity('x', 'label')], 'DEFINITION_INVALID', /cannot be called label/],
    [
      'a feature called as Postgres calls its own',
      [view([age, city, { name: 'ctid', type: 'int64' }])],
      'DEFINITION_INVALID',
      /Postgres keeps this name/,
    ],
    ['a range on a text', [view([age, { ...city, max: 3 }])], 'DEFINITION_INVALID', /apply to int64 and float64/],
    ['a range upside down', [view([{ ...age, min: 2, max: 1 }, city])], 'DEFINITION_INVALID', /min 2 is above max 1/],
    ['texts allowed for a number', [view([{ ...age, oneOf: ['x'] }, city])], 'DEFINITION_INVALID', /oneOf must list values of type int64/],
    [
      'more features than a row can hold',
      [view([age, city, ...Array.from({ length: 900 }, (_, i) => ({ name: `f${i}`, type: 'float64' }))])],
      'DEFINITION_INVALID',
      /split the view/,
    ],
  ])('refuses %s', (_name, wanted, code, message) => {
    expect(() => planDefinitions(base, wanted)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});
