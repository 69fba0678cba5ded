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

const NOTHING: Catalogue = { entities: new Map(), views: new Map(), transforms: new Map(), services: new Map(), fieldsEver: new Map() };

/** The catalogue after applying, one call after the other. */
function applied(...steps: StoredDefinition[][]): Catalogue {
  let catalogue = NOTHING;
  for (const step of steps) {
    const entities = new Map(catalogue.entities);
    const views = new Map(catalogue.views);
    const fieldsEver = new Map(catalogue.fieldsEver);
    const transforms = new Map(catalogue.transforms);
    const services = new Map(catalogue.services);
    for (const { definition, version } of planDefinitions(catalogue, step)) {
      if (definition.kind === 'Entity') entities.set(definition.name, { definition, version });
      else if (definition.kind === 'FeatureView') {
        views.set(definition.name, { definition, version });
        fieldsEver.set(
          definition.name,
          new Map([...(fieldsEver.get(definition.name) ?? []), ...definition.spec.features.map((f) => [f.name, f] as const)]),
        );
      } else if (definition.kind === 'OnDemandView') transforms.set(definition.name, { definition, version });
      else services.set(definition.name, { definition, version });
    }
    catalogue = { entities, views, transforms, services, fieldsEver };
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
      /age cannot change.*\n.*view x is not defined.*\n.*has no feature y/,
    );
  });

  it('lets an entity that no view uses change its join keys', () => {
    expect(summary(applied([entity('person', 'id')]), [entity('person', 'a', 'b')])).toEqual(['person updated 2']);
  });

  it.each<[string, StoredDefinition[], string, RegExp]>([
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

describe('removing a feature', () => {
  const reading = applied([entity('person', 'id'), view([age, city, vector])], [service('v:age')], [transform({ a: 'v:age' }, 'a')]);
  const models = [{ model: 'm', references: ['v:city', 'w:age'] }];

  it('is allowed when nobody reads it; a service of the whole view follows', () => {
    expect(summary(reading, [view([age, city])])).toEqual(['v updated 2']);
    expect(summary(applied([entity('person', 'id'), view([age, city]), service('v')]), [view([age])])).toEqual(['v updated 2']);
  });

  it('is refused with everyone who reads it', () => {
    expect(() => planDefinitions(reading, [view([vector])], { models })).toThrow(
      /v:age cannot be removed, because OnDemandView d, FeatureService s use it; .*\nv:city cannot be removed, because Model m uses it; .*--allow-breaking/,
    );
  });

  it('is allowed when its readers change with it, or when the break is allowed', () => {
    const wanted = [view([city, vector]), service('v:city'), transform({ a: 'v:city' }, 'length(a)')];
    expect(planDefinitions(reading, wanted).map((c) => c.change)).toEqual(['updated', 'updated', 'updated']);
    expect(planDefinitions(reading, [view([vector])], { models, allowBreaking: true })).toHaveLength(1);
  });

  it('keeps its column: it may come back with its type, and with no other', () => {
    const without = applied([entity('person', 'id'), view([age, city])], [view([age])]);
    expect(planDefinitions(without, [view([age, city])])[0]).toMatchObject({ change: 'updated', version: 3, addedFields: [] });
    expect(() => planDefinitions(without, [view([age, { ...city, type: 'bool' }])])).toThrow(/city cannot change from string to bool/);
  });

  it('of an on-demand view is refused like one of a feature view', () => {
    const picked = applied([entity('person', 'id'), view([age])], [transform({ a: 'v:age' }, 'a')], [service('d:y')]);
    const renamed = parseDefinition({ kind: 'OnDemandView', name: 'd', features: [{ name: 'z', type: 'int64', expression: '1' }] }, 't');
    expect(() => planDefinitions(picked, [renamed as StoredDefinition])).toThrow(/d:y cannot be removed, because FeatureService s uses it/);
  });
});

describe('a plan', () => {
  const reading = applied([entity('person', 'id'), view([age, city])], [service('v:age')], [transform({ a: 'v:city' }, 'length(a)')]);
  const models = [{ model: 'm', references: ['v:age', 'v:city'] }];
  const plan = (wanted: StoredDefinition): [string[], readonly string[]] => {
    const [change] = planDefinitions(reading, [wanted], { models });
    return [change!.differences.map((d) => `${d.path} ${d.before} ${d.after}`), change!.affected];
  };

  it('tells what changes and whom it concerns', () => {
    expect(plan(view([{ ...age, max: 9 }, city]))).toEqual([['features.age.max  9'], ['FeatureService s', 'Model m']]);
    expect(plan(view([age, city, { name: 'x', type: 'bool' }]))[1]).toEqual([]);
    expect(plan(view([age, city], { ttl: '1d' }))).toEqual([['ttl 0 86400000'], ['OnDemandView d', 'FeatureService s', 'Model m']]);
    expect(plan(view([age, city]))).toEqual([[], []]);
  });
});
