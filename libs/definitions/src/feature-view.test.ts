import { describe, expect, it } from 'vitest';
import { isDefinitionOf, type FeatureViewDefinition } from './definition.js';
import { resolveService, featureServiceSpec } from './feature-service.js';
import { servedFeatures } from './served-features.js';
import { parseDefinitionsFile } from './yaml-file.js';

const FULL = `kind: FeatureView
name: payments
entity: account
owner: risk
tags: [money, stream]
source: { kind: file, path: payments.csv, format: csv, eventTime: at, columns: { amount: AMT } }
ttl: 30d
freshness: { maxAge: 1h }
features:
  - { name: amount, type: float64, min: 0 }
  - { name: iban, type: string, pattern: '[A-Z]{2}[0-9A-Z]+', maxLength: 34, pii: true }
  - { name: opened, type: timestamp }
  - { name: text, type: embedding, dimension: 3, min: -1, max: 1 }
aggregations:
  - { function: sum, column: amount, windows: [1h, 24h] }
  - { function: count, windows: [90s] }
  - { function: last_k, column: amount, k: 5, windows: [7d] }
  - { function: percentile, percentile: 95, column: amount, windows: [1h], name: p95 }
  - { function: last, column: iban, windows: [1h] }
timeFeatures:
  - { kind: calendar, name: hour, part: hour, timeZone: Europe/Berlin }
  - { kind: calendar, name: holiday, part: is_holiday, country: DE-BY, of: now }
  - { kind: recency, name: age_s, of: opened }
  - { kind: frequency, name: visits, window: 1d }
`;

const parse = (text: string): FeatureViewDefinition => {
  const [definition] = parseDefinitionsFile(text, 'f.yaml');
  if (!isDefinitionOf(definition!, 'FeatureView')) throw new Error('no view');
  return definition;
};

const view = (more: string): string => `kind: FeatureView\nname: v\nentity: e\n${more}\n`;
const AB = 'features: [{ name: a, type: float64 }, { name: t, type: string }]';

describe('a feature view', () => {
  it('names every feature that it serves, with its type', () => {
    expect(servedFeatures(parse(FULL).spec).map((f) => [f.name, f.type, f.origin, f.dimension, f.pii])).toEqual([
      ['amount', 'float64', 'stored', undefined, false],
      ['iban', 'string', 'stored', undefined, true],
      ['opened', 'timestamp', 'stored', undefined, false],
      ['text', 'embedding', 'stored', 3, false],
      ['amount_sum_1h', 'float64', 'aggregation', undefined, false],
      ['amount_sum_1d', 'float64', 'aggregation', undefined, false],
      ['count_90s', 'int64', 'aggregation', undefined, false],
      ['amount_last_k_7d', 'embedding', 'aggregation', 5, false],
      ['p95_1h', 'float64', 'aggregation', undefined, false],
      ['iban_last_1h', 'string', 'aggregation', undefined, true],
      ['visits', 'int64', 'aggregation', undefined, false],
      ['hour', 'int64', 'time', undefined, false],
      ['holiday', 'bool', 'time', undefined, false],
      ['age_s', 'float64', 'time', undefined, false],
    ]);
  });

  it('hashes the same whether empty lists and defaults of later releases are written out or not', () => {
    const short = parse(view(AB));
    expect(parse(view(`labels: false\naggregations: []\ntimeFeatures: []\n${AB}`)).contentHash).toBe(short.contentHash);
    expect(parse(FULL).contentHash).not.toBe(parse(FULL.replace('7d', '8d')).contentHash);
  });

  it.each([
    ['an embedding without dimension', 'features: [{ name: a, type: embedding }]', /needs its dimension/],
    ['a dimension of a number', 'features: [{ name: a, type: int64, dimension: 3 }]', /applies to an embedding/],
    ['a range on a text', 'features: [{ name: a, type: string, min: 0 }]', /min and max apply to/],
    ['a reversed range', 'features: [{ name: a, type: int64, min: 2, max: 1 }]', /above max/],
    ['choices of another type', 'features: [{ name: a, type: string, oneOf: [1] }]', /list values of type string/],
    ['choices of a bool', 'features: [{ name: a, type: bool, oneOf: [1] }]', /applies to string, int64 and float64/],
    ['a pattern on a number', 'features: [{ name: a, type: int64, pattern: a }]', /applies to string, not to int64/],
    ['a broken pattern', "features: [{ name: a, type: string, pattern: '[' }]", /no regular expression/],
    ['a pattern that can take for ever', "features: [{ name: a, type: string, pattern: '(a+)+' }]", /repeat around a repeat/],
    ['an unknown function', `${AB}\naggregations: [{ function: median, windows: [1h] }]`, /"median" is none of: count, sum/],
    ['a sum over a text', `${AB}\naggregations: [{ function: sum, column: t, windows: [1h] }]`, /sum is taken over int64 or float64/],
    ['an aggregation of nothing', `${AB}\naggregations: [{ function: sum, windows: [1h] }]`, /sum needs the column/],
    ['an unknown column', `${AB}\naggregations: [{ function: sum, column: x, windows: [1h] }]`, /has no feature x; it has a, t/],
    ['an empty window', `${AB}\naggregations: [{ function: count, windows: [0] }]`, /longer than 0/],
    ['a name that is taken', `${AB}\ntimeFeatures: [{ kind: recency, name: a }]`, /a is taken; rename/],
    ['an unknown zone', `${AB}\ntimeFeatures: [{ kind: calendar, name: h, part: hour, timeZone: Mars/Base }]`, /IANA time zone/],
    ['a holiday of nowhere', `${AB}\ntimeFeatures: [{ kind: calendar, name: h, part: is_holiday }]`, /needs a country/],
    ['a recency of a text', `${AB}\ntimeFeatures: [{ kind: recency, name: r, of: t }]`, /t is string/],
    ['a source with a missing part', `${AB}\nsource: { kind: postgres, query: select }`, /source.connection: is missing/],
    ['a source of unknown kind', `${AB}\nsource: { kind: ftp }`, /source/],
    ['a misspelt key', `${AB}\nowners: me`, /f.yaml:5: .*owners: unknown key; did you mean owner\?/],
    ['a misspelt key deep inside', 'features:\n  - name: a\n    type: int64\n    nulable: false', /f.yaml:7: .*did you mean nullable\?/],
  ])('refuses %s and says what to do', (_what, more, message) => {
    expect(() => parse(view(more))).toThrow(message);
  });

  it('tells all mistakes of all documents at once, each with its line', () => {
    expect(() => parse(`${view('features: [{ name: 1, type: text }]\nttl: soon')}---\nkind: Entity\nname: x\n`)).toThrow(
      /f.yaml:4: .*features.0.name: .*\nf.yaml:4: .*features.0.type: "text" is none of.*\nf.yaml:5: .*ttl: .*\nf.yaml:7: Entity x: joinKeys: is missing/,
    );
  });
});

describe('a feature service', () => {
  const service = (features: unknown[]): ReturnType<typeof featureServiceSpec.parse> => featureServiceSpec.parse({ features });
  const featuresOf = (name: string): readonly string[] | undefined => ({ a: ['x', 'y'], b: ['x'] })[name];

  it('picks whole views and single features, in its order, under the names that it gives', () => {
    expect(resolveService(service(['a', { view: 'b', feature: 'x', as: 'bx' }]), featuresOf)).toEqual({
      features: [
        { view: 'a', feature: 'x', name: 'x' },
        { view: 'a', feature: 'y', name: 'y' },
        { view: 'b', feature: 'x', name: 'bx' },
      ],
      faults: [],
    });
  });

  it('says everything that it cannot pick', () => {
    expect(resolveService(service(['c', 'a:z', 'a:x', 'b:x']), featuresOf).faults).toEqual([
      'view c is not defined; apply it first or in the same request',
      'view a has no feature z; it has x, y',
      'a:x and b:x would both be called x; rename one with `as`',
    ]);
  });
});
