import { describe, expect, it } from 'vitest';
import { expectClose, expectRelative, golden } from '../golden/read-golden.js';
import { chiSquareContingency, chiSquareGoodnessOfFit, cramersV } from './chi-square.js';
import { hellingerDistance } from './hellinger.js';
import { jensenShannonDistance } from './jensen-shannon.js';
import { lInfinityDistance } from './l-infinity.js';
import { psi } from './psi.js';
import { twoProportionZTest } from './z-test.js';

interface Case {
  reference: number[];
  current: number[];
  contingency: { statistic: number; pValue: number; dof: number };
  cramersV: number;
  evidently: { psi: number; jensenshannon: number; hellinger: number; chisquare: number; z?: number };
  nannyml: { jensen_shannon: number; l_infinity: number; hellinger: number };
}

describe.each(Object.entries(golden<Record<string, Case>>('categoricalDrift')))(
  'golden table %s',
  (_, { reference, current, ...expected }) => {
    it('gives the chi-square tests of scipy, Evidently and NannyML', () => {
      const contingency = chiSquareContingency(reference, current);
      expectRelative(contingency.statistic, expected.contingency.statistic, 1e-10);
      expectRelative(contingency.pValue, expected.contingency.pValue, 1e-9);
      expect(contingency.dof).toBe(expected.contingency.dof);
      expectRelative(chiSquareGoodnessOfFit(reference, current).pValue, expected.evidently.chisquare, 1e-9);
      expectClose(cramersV(reference, current), expected.cramersV, 1e-12);
    });

    it('gives the distances of Evidently and NannyML', () => {
      expectClose(psi(reference, current), expected.evidently.psi);
      expectClose(jensenShannonDistance(reference, current, 'e'), expected.evidently.jensenshannon, 1e-8);
      expectClose(jensenShannonDistance(reference, current, '2'), expected.nannyml.jensen_shannon, 1e-8);
      expectClose(lInfinityDistance(reference, current), expected.nannyml.l_infinity);
      // A square root of a rounding error where the shares are equal.
      expectClose(hellingerDistance(reference, current), expected.evidently.hellinger, 1e-7);
      expectClose(hellingerDistance(reference, current), expected.nannyml.hellinger, 1e-7);
    });
  },
);

it('gives the z-test of Evidently', () => {
  const { reference, current, evidently } = golden<Record<string, Case>>('categoricalDrift')['two']!;
  const [[, successes1], [, successes2]] = [reference, current] as [[number, number], [number, number]];
  expectRelative(
    twoProportionZTest(successes1, reference[0]! + successes1, successes2, current[0]! + successes2).pValue,
    evidently.z!,
    1e-9,
  );
});

it('tests nothing when only one category was ever seen', () => {
  expect(chiSquareContingency([10, 0], [12, 0])).toEqual({ statistic: 0, dof: 0, pValue: 1 });
  expect(chiSquareGoodnessOfFit([10, 0], [12, 0]).pValue).toBe(1);
  expect(twoProportionZTest(0, 10, 0, 12).pValue).toBe(1);
});

it('gives p = 0 to a category that the reference has never seen, as Evidently does', () => {
  expect(chiSquareGoodnessOfFit([10, 0], [12, 1])).toEqual({ statistic: Infinity, dof: 1, pValue: 0 });
});
