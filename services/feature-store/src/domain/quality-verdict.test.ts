import { seededRandom } from '@headrace/base/random';
import type { FeatureValue } from '@headrace/codec/feature-blob';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../../test/views.js';
import { WindowTally, type WindowStatistics } from './quality-statistics.js';
import { judge, worstByFeature } from './quality-verdict.js';

const view = viewOf({
  quality: {},
  features: [
    { name: 'amount', type: 'float64' },
    { name: 'city', type: 'string' },
  ],
});

interface Source {
  readonly rows?: number;
  readonly shift?: number;
  readonly scale?: number;
  readonly nulls?: number;
  readonly cities?: readonly string[];
}

function windowOf(
  seed: number,
  { rows = 1_000, shift = 0, scale = 1, nulls = 0.05, cities = ['a', 'b', 'c'] }: Source = {},
): WindowStatistics {
  const random = seededRandom(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const tally = new WindowTally(view.spec.features);
  const orNull = (value: FeatureValue): FeatureValue => (random() < nulls ? null : value);
  for (let i = 0; i < rows; i++) tally.add([orNull(shift + scale * normal()), orNull(cities[Math.floor(random() * cities.length)]!)]);
  return tally.finish();
}

const badOf = (current: WindowStatistics, reference = windowOf(1)): string[] =>
  judge(view, current, reference)
    .filter(({ bad }) => bad)
    .map(({ feature, metric }) => `${feature} ${metric}`);

describe('a window against its reference', () => {
  it('raises no false alarm in 300 windows of the same source, small ones included', () => {
    const reference = windowOf(1, { rows: 5_000 });
    const alarms = Array.from({ length: 300 }, (_, seed) => badOf(windowOf(1_000 + seed, { rows: seed % 2 === 0 ? 30 : 400 }), reference));
    expect(alarms.flat()).toEqual([]);
  });

  it.each<[string, Source, string[]]>([
    ['more nulls', { nulls: 0.3 }, ['amount null_ratio', 'city null_ratio']],
    ['a moved mean', { shift: 1 }, ['amount mean_shift', 'amount psi']],
    ['another spread', { scale: 3 }, ['amount psi']],
    ['a category that was not there', { cities: ['a', 'b', 'c', 'x'] }, ['city new_categories', 'city psi']],
    ['a category that is gone', { cities: ['a', 'b'] }, ['city psi']],
  ])('tells %s', (_what, source, expected) => {
    expect(badOf(windowOf(2, source)).sort()).toEqual(expected);
  });

  it('names new categories beside the sentence, never in it', () => {
    const verdict = judge(view, windowOf(3, { cities: ['a', 'b', 'c', 'Zanzibar'] }), windowOf(1)).find(
      ({ metric }) => metric === 'new_categories',
    )!;
    expect(verdict).toMatchObject({ bad: true, newCategories: ['Zanzibar'] });
    expect(verdict.value).toBeCloseTo(0.25, 1);
    expect(verdict.sentence).not.toContain('Zanzibar');
  });

  it('tells of each feature what is worst', () => {
    const worst = worstByFeature(judge(view, windowOf(4, { shift: 4, nulls: 0.12 }), windowOf(1)));
    expect(worst.map(({ feature, metric, bad }) => `${feature} ${metric} ${bad}`)).toEqual(['amount psi true', 'city null_ratio true']);
  });

  it('judges nothing of a feature without values', () => {
    expect(badOf(windowOf(5, { nulls: 1 }))).toEqual(['amount null_ratio', 'city null_ratio']);
  });
});
