import { parseDefinition } from '@headrace/definitions/definition';
import { describe, expect, it } from 'vitest';
import { planDefinitions, type Catalogue, type StoredDefinition } from './definition-plan.js';

const entity = (name: string, ...joinKeys: string[]): StoredDefinition =>
  parseDefinition({ kind: 'Entity', name, joinKeys }, 't') as StoredDefinition;
const view = (features: object[], more: object = {}): StoredDefinition =>
  parseDefinition({ kind: 'FeatureView', name: 'v', entity: 'person', features, ...more }, 't') as StoredDefinition;
const age = { name: 'age', type: 'int64' };
const city = { name: 'city', type: 'string' };

const service = (...features: unknown[]): StoredDefinition =>
  parseDefinition({ kind: 'FeatureService', name: 's', features }, 't') as StoredDefinition;

const transform = (inputs: Record<string, string>, expression: string, name = 'd'): StoredDefinition =>
  parseDefinition({ kind: 'OnDemandView', name, inputs, features: [{ name: 'y', type: 'int64', expression }] }, 't') as StoredDefinition;

const NOTHING: Catalogue = { entities: new Map(), views: new Map(), transforms: new Map(), services: new Map() };

/** The catalogue after applying, one call after the other. */
function applied(...steps: StoredDefinition[][]): Catalogue {
  let catalogue = NOTHING;
  for (const step of steps) {
    const entities = new Map(catalogue.entities);
    const views = new Map(catalogue.views);
    const transforms = new Map(catalogue.transforms);
    const services = new Map(catalogue.services);
    for (const { definition, version } of planDefinitions(catalogue, step)) {
      if (definition.kind === 'Entity') entities.set(definition.name, { definition, version });
      else if (definition.kind === 'FeatureView') views.set(definition.name, { definition, version });
      else if (definition.kind === 'OnDemandView') transforms.set(definition.name, { definition, version });
      else services.set(definition.name, { definition, version });
    }
    catalogue = { entities, views, transforms, services };
  }
  return catalogue;
}

const vector = { name: 'vector', type: 'embedding', dimension: 3 };
const base = applied([entity('person', 'id'), view([age, city])], [view([age, city, vector])]);
const summary = (stored: Catalogue, wanted: StoredDefinition[]): string[] =>
  planDefinitions(stored, wanted).map(
    (c) => `${c.definition.name} ${c.change} ${c.version}${c.addedFields.map((f) => ` +${f.name}`).join('')}`,
  );

describe('applying definitions', () => {
  it('creates entities before the views that need them, whatever their order', () => {
    expect(summary(NOTHING, [view([age]), entity('person', 'id')])).toEqual(['person created 1', 'v created 1']);
  });

  it('changes nothing when the content is the same', () => {
    expect(summary(base, [view([age, city, vector]), entity('person', 'id')])).toEqual(['person unchanged 1', 'v unchanged 2']);
  });

  it('counts a version up for each change that stored rows can follow', () => {
    expect(summary(base, [view([{ name: 'new', type: 'bool' }, city, age, vector])])).toEqual(['v updated 3 +new']);
    expect(summary(base, [view([{ ...age, min: 0 }, city, vector], { ttl: '1d', online: false })])).toEqual(['v updated 3']);
    const twice = applied([entity('person', 'id'), view([age])], [view([age], { ttl: '1d' })]);
    expect(summary(twice, [view([age])])).toEqual(['v updated 3']);
  });

  it('takes a service with the views that it picks in one request, and versions it by its content', () => {
    expect(summary(NOTHING, [service('v:age'), view([age]), entity('person', 'id')])).toEqual([
      'person created 1',
      'v created 1',
      's created 1',
    ]);
    const stored = applied([entity('person', 'id'), view([age, city]), service('v:age')]);
    expect(summary(stored, [service({ view: 'v', feature: 'age' })])).toEqual(['s unchanged 1']);
    expect(summary(stored, [service('v')])).toEqual(['s updated 2']);
  });

  it('takes an on-demand view with its inputs and a service that picks it, in one request', () => {
    const wanted = [service('d:y'), transform({ a: 'v:age' }, 'a + 1'), view([age]), entity('person', 'id')];
    expect(summary(NOTHING, wanted)).toEqual(['person created 1', 'v created 1', 'd created 1', 's created 1']);
  });

  it('tells every reason at once', () => {
    expect(() => planDefinitions(base, [view([{ ...age, type: 'bool' }]), service('x', 'v:y')])).toThrow(
      /age cannot change.*\n.*city cannot be removed.*\n.*vector cannot be removed.*\n.*view x is not defined.*\n.*has no feature y/,
    );
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
    [
      'a feature called as Postgres calls its own',
      [view([age, city, { name: 'ctid', type: 'int64' }])],
      'DEFINITION_INVALID',
      /Postgres keeps this name/,
    ],
    [
      'another dimension',
      [view([age, city, { ...vector, dimension: 4 }])],
      'DEFINITION_CONFLICT',
      /of dimension 3 to embedding of dimension 4/,
    ],
    [
      'an expression that does not parse with its types',
      [transform({ a: 'v:city' }, 'a + 1')],
      'DEFINITION_INVALID',
      /OnDemandView d: feature y: at 3: \+ wants numbers/,
    ],
    [
      'an expression of another type than its feature',
      [transform({ a: 'v:age' }, 'a / 2')],
      'DEFINITION_INVALID',
      /the expression is float64 and the feature int64; use round/,
    ],
    ['an on-demand view of an unknown feature', [transform({ a: 'v:x' }, 'a')], 'DEFINITION_INVALID', /input a: view v has no feature x/],
    [
      'an on-demand view with the name of a view',
      [transform({ a: 'v:age' }, 'a', 'v')],
      'DEFINITION_INVALID',
      /v would be a FeatureView and an OnDemandView/,
    ],
    ['a service of an unknown view', [service('w')], 'DEFINITION_INVALID', /FeatureService s: view w is not defined/],
    ['a service of an unknown feature', [service('v:x')], 'DEFINITION_INVALID', /view v has no feature x/],
    ['a service that picks a label', [view([age], { name: 'l', labels: true }), service('l')], 'DEFINITION_INVALID', /view l holds labels/],
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
