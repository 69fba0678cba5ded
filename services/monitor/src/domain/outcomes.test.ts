import { describe, expect, it } from 'vitest';
import { seededRandom } from '@headrace/base/random';
import { isOutcomeFault, isPositive, labelStep, mergeLabels, readOutcome, type ObservedLabel } from './outcomes.js';

const NOW = 1_000_000_000;

describe('reading an outcome', () => {
  it.each([
    ['NaN', { predictionId: 'p', label: Number.NaN }, 'ROW_INVALID'],
    ['no label at all', { predictionId: 'p', label: undefined }, 'ROW_INVALID'],
    ['infinity', { predictionId: 'p', label: Infinity }, 'ROW_INVALID'],
    ['a fraction', { predictionId: 'p', label: 0.5 }, 'ROW_INVALID'],
    ['a code out of range', { predictionId: 'p', label: 1e9 }, 'ROW_INVALID'],
    ['an empty id', { predictionId: '', label: 1 }, 'ROW_INVALID'],
    ['an id with U+0000', { predictionId: 'a\u0000b', label: 1 }, 'ROW_INVALID'],
    ['an endless id', { predictionId: 'x'.repeat(201), label: 1 }, 'ROW_INVALID'],
    ['a broken time', { predictionId: 'p', label: 1, observedAt: new Date(Number.NaN) }, 'ROW_INVALID'],
    ['the future', { predictionId: 'p', label: 1, observedAt: new Date(NOW + 3_600_000) }, 'ROW_FUTURE_DATED'],
  ])('refuses %s', (_name, raw, code) => {
    const read = readOutcome({ observedAt: undefined, ...raw }, NOW, NOW);
    expect(isOutcomeFault(read) && read.code).toBe(code);
  });

  it('takes the time of the event when the outcome has none, and knows no negative zero', () => {
    expect(readOutcome({ predictionId: 'p', label: -0, observedAt: undefined }, 77, NOW)).toEqual({
      predictionId: 'p',
      label: 0,
      observedMs: 77,
    });
  });
});

it('is positive when it is the class, or of a regression when it reaches the threshold', () => {
  const label = { view: 'v', feature: 'f', positive: 2 };
  expect([1, 2, 3].map((observed) => isPositive({ task: 'binary_classification', threshold: 0.5, label }, observed))).toEqual([
    false,
    true,
    false,
  ]);
  expect([-4, 14, 15, 90].map((observed) => isPositive({ task: 'regression', threshold: 15, label }, observed))).toEqual([
    false,
    false,
    true,
    true,
  ]);
});

describe('labels that come again', () => {
  it('steps by the documented rule', () => {
    const known = { label: 1, observedMs: 10 };
    expect(labelStep(undefined, known)).toBe('first');
    expect(labelStep(known, { label: 1, observedMs: 99 })).toBe('repeated');
    expect(labelStep(known, { label: 0, observedMs: 11 })).toBe('corrected');
    expect(labelStep(known, { label: 0, observedMs: 10 })).toBe('outdated');
    expect(labelStep(known, { label: 0, observedMs: 9 })).toBe('outdated');
  });

  it('ends the same whatever the order and however often (seeded permutations)', () => {
    const random = seededRandom(5);
    for (let round = 0; round < 300; round++) {
      const labels: ObservedLabel[] = Array.from({ length: 6 }, (_, i) => ({
        predictionId: 'p',
        label: random() < 0.5 ? 0 : 1,
        observedMs: i * 10,
      }));
      const last = labels.at(-1)!.label;
      const mixed = [...labels, ...labels]
        .map((l) => [random(), l] as const)
        .sort(([a], [b]) => a - b)
        .map(([, l]) => l);
      expect(mergeLabels(mixed).kept[0]!.label).toBe(last);
    }
  });
});
