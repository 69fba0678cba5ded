import { assert } from '@headrace/base/assert';
import { alignedValueCounts, histogramOf, joinCells, quantileBins, sturgesEdges, totalOf } from './binning.js';

/**
 * Population stability index: sum over bins of (r - c) ln(r / c), r and c the shares of reference and current. It is symmetric
 * (Jeffreys' divergence); 0.1 is commonly called a minor and 0.2 a major shift. Counts are aligned. Empty bins are filled as
 * Evidently does (`filledShares`), so that the value is finite. Equals Evidently 0.7 given the same bins; NaN if a side is empty.
 */
export function psi(reference: ArrayLike<number>, current: ArrayLike<number>, totals: PsiTotals = {}): number {
  assert(reference.length === current.length, `reference has ${reference.length} bins and current ${current.length}`);
  const r = filledShares(reference, totals.reference);
  const c = filledShares(current, totals.current);
  let sum = 0;
  for (let i = 0; i < r.length; i++) sum += (r[i]! - c[i]!) * Math.log(r[i]! / c[i]!);
  return sum;
}

/** Denominators of the shares when they differ from the sum of the counts (Evidently divides by all rows, nulls included). */
export interface PsiTotals {
  readonly reference?: number;
  readonly current?: number;
}

/** PSI over about `bins` reference-quantile bins, joined from the fine cells of a profile. The default of our reports. */
export function psiOfCells(reference: ArrayLike<number>, current: ArrayLike<number>, bins = 10): number {
  const binOfCell = quantileBins(reference, bins);
  return psi(joinCells(reference, binOfCell), joinCells(current, binOfCell));
}

/**
 * PSI of two numeric samples with Evidently's own bins: Sturges edges over both samples together when the reference has more than
 * 20 distinct values, else one bin for each value. For parity and small windows; the bins move with the window.
 */
export function psiOfSamples(reference: ArrayLike<number>, current: ArrayLike<number>): number {
  if (new Set(Array.from(reference)).size <= 20) {
    const counts = alignedValueCounts(reference, current);
    return psi(counts.reference, counts.current);
  }
  const edges = sturgesEdges([...Array.from(reference), ...Array.from(current)]);
  return psi(histogramOf(reference, edges), histogramOf(current, edges));
}

/**
 * Shares with zeros replaced: by 0.0001, or by the smallest non-zero share / 10^6 if that share is not above 0.0001. Each side on
 * its own, not renormalised (Evidently `get_binned_data`, 0.7). All NaN when the counts are all zero.
 */
export function filledShares(counts: ArrayLike<number>, total = totalOf(counts)): Float64Array {
  const shares = Float64Array.from(counts, (count) => count / total);
  let smallest = Infinity;
  for (const share of shares) if (share > 0 && share < smallest) smallest = share;
  const fill = smallest <= 0.0001 ? smallest / 1e6 : 0.0001;
  return shares.map((share) => (share === 0 ? fill : share));
}
