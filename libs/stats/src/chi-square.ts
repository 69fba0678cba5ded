import { assert } from '@headrace/base/assert';
import { totalOf } from './binning.js';
import { chiSquareSf } from './tails.js';

export interface ChiSquareResult {
  readonly statistic: number;
  readonly dof: number;
  readonly pValue: number;
}

/**
 * Pearson's goodness of fit of the current counts to the reference shares: expected = reference * n_current / n_reference.
 * Equals Evidently's `chisquare` (scipy.stats.chisquare): no Yates correction; a category unseen in the reference gives p = 0.
 * It takes the reference for the truth, so it is too eager when the reference is not much larger than the window.
 */
export function chiSquareGoodnessOfFit(reference: ArrayLike<number>, current: ArrayLike<number>): ChiSquareResult {
  assert(reference.length === current.length, `reference has ${reference.length} cells and current ${current.length}`);
  const scale = totalOf(current) / totalOf(reference);
  let statistic = 0;
  let cells = 0;
  for (let i = 0; i < reference.length; i++) {
    if (reference[i] === 0 && current[i] === 0) continue;
    cells++;
    const expected = reference[i]! * scale;
    statistic += (current[i]! - expected) ** 2 / expected;
  }
  return result(statistic, cells - 1);
}

/**
 * Pearson's test of homogeneity on the 2 x k table (both samples are random). Equals NannyML's `chi2`
 * (scipy.stats.chi2_contingency): Yates' correction only for dof = 1. Columns empty on both sides are left out.
 */
export function chiSquareContingency(reference: ArrayLike<number>, current: ArrayLike<number>): ChiSquareResult {
  assert(reference.length === current.length, `reference has ${reference.length} cells and current ${current.length}`);
  const { dof, statistic } = contingency(reference, current, true);
  return result(statistic, dof);
}

/**
 * Cramer's V of the 2 x k table, 0 .. 1: the effect size that belongs to the test above, free of the sample size (Cramer 1946;
 * no bias correction). Equals scipy.stats.contingency.association(method='cramer').
 */
export function cramersV(reference: ArrayLike<number>, current: ArrayLike<number>): number {
  const { statistic, n } = contingency(reference, current, false);
  return Math.sqrt(statistic / n);
}

function contingency(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
  correct: boolean,
): { statistic: number; dof: number; n: number } {
  const rows = [reference, current];
  const totals = rows.map(totalOf);
  const n = totals[0]! + totals[1]!;
  let columns = 0;
  for (let i = 0; i < reference.length; i++) if (reference[i]! + current[i]! > 0) columns++;
  const dof = columns - 1;
  let statistic = 0;
  for (let i = 0; i < reference.length; i++) {
    const column = reference[i]! + current[i]!;
    if (column === 0) continue;
    rows.forEach((row, side) => {
      const expected = (column * totals[side]!) / n;
      const difference = Math.abs(row[i]! - expected);
      const corrected = correct && dof === 1 ? difference - Math.min(0.5, difference) : difference;
      statistic += corrected ** 2 / expected;
    });
  }
  return { statistic, dof, n };
}

/** One cell leaves nothing to test: p = 1. */
function result(statistic: number, dof: number): ChiSquareResult {
  if (dof < 1) return { statistic: 0, dof: 0, pValue: 1 };
  return { statistic, dof, pValue: chiSquareSf(statistic, dof) };
}
