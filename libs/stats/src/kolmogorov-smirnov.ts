import { assert } from '@headrace/base/assert';
import { totalOf } from './binning.js';
import { kolmogorovSf } from './kolmogorov-distribution.js';

/** Largest distance of the two empirical distribution functions, 0 .. 1, of two ascending samples. Exact, ties included. NaN if a sample is empty. */
export function ksStatistic(sortedReference: Float64Array, sortedCurrent: Float64Array): number {
  const n = sortedReference.length;
  const m = sortedCurrent.length;
  if (n === 0 || m === 0) return NaN;
  let i = 0;
  let j = 0;
  let largest = 0;
  while (i < n && j < m) {
    const at = Math.min(sortedReference[i]!, sortedCurrent[j]!);
    while (i < n && sortedReference[i]! <= at) i++;
    while (j < m && sortedCurrent[j]! <= at) j++;
    largest = Math.max(largest, Math.abs(i / n - j / m));
  }
  return largest;
}

/**
 * Two-sample, two-sided Kolmogorov-Smirnov test of two ascending samples. Equals scipy.stats.ks_2samp(method='auto'): exact p-value
 * while both samples are <= 10,000, else the asymptotic one. With ties (discrete columns) p is conservative: too large, never too small.
 */
export function ksTest(
  sortedReference: Float64Array,
  sortedCurrent: Float64Array,
): { statistic: number; pValue: number; method: 'exact' | 'asymptotic' } {
  const n = sortedReference.length;
  const m = sortedCurrent.length;
  const statistic = ksStatistic(sortedReference, sortedCurrent);
  const method = Math.max(n, m) <= EXACT_ROWS_MAX ? 'exact' : 'asymptotic';
  return { statistic, pValue: ksPValue(statistic, n, m, method), method };
}

/** P(D >= statistic) under no drift, for samples of n and m values. `exact` costs O(n m) at worst: 0.4 s for 10,000 x 9,999. */
export function ksPValue(statistic: number, n: number, m: number, method: 'exact' | 'asymptotic'): number {
  if (Number.isNaN(statistic)) return NaN;
  return method === 'exact' ? exactPValue(statistic, n, m) : kolmogorovSf(Math.max(1, Math.round((n * m) / (n + m))), statistic);
}

/** KS from histograms with the same edges: the truth lies in [statistic, upperBound]. */
export interface KsOfCells {
  /** Largest distance at the inner edges. A lower bound of the exact statistic, so that its p-value is conservative. */
  readonly statistic: number;
  /** What the values inside one cell could add at most. */
  readonly upperBound: number;
  /** p-value of the lower bound. */
  readonly pValue: number;
}

/** Counts are aligned cells in ascending order. The p-value is asymptotic above 10^6 pairs of rows: the exact one would cost more than a report may. */
export function ksOfCells(reference: ArrayLike<number>, current: ArrayLike<number>): KsOfCells {
  assert(reference.length === current.length, `reference has ${reference.length} cells and current ${current.length}`);
  const n = totalOf(reference);
  const m = totalOf(current);
  if (n === 0 || m === 0) return { statistic: NaN, upperBound: NaN, pValue: NaN };
  let statistic = 0;
  let upperBound = 0;
  let f = 0;
  let g = 0;
  for (let cell = 0; cell < reference.length; cell++) {
    const nextF = f + reference[cell]! / n;
    const nextG = g + current[cell]! / m;
    // Inside a cell both functions only rise, between these ends.
    upperBound = Math.max(upperBound, Math.abs(nextF - g), Math.abs(f - nextG));
    if (cell < reference.length - 1) statistic = Math.max(statistic, Math.abs(nextF - nextG));
    f = nextF;
    g = nextG;
  }
  const method = n * m <= CELLS_EXACT_PAIRS_MAX ? 'exact' : 'asymptotic';
  return { statistic, upperBound: Math.min(1, upperBound), pValue: ksPValue(statistic, n, m, method) };
}

/** scipy's MAX_AUTO_N. */
const EXACT_ROWS_MAX = 10_000;
/** About 4 ms a column. */
const CELLS_EXACT_PAIRS_MAX = 1_000_000;

/**
 * Of all orders in which n and m values can be mixed, the share whose path leaves the band |i/n - j/m| < d (Hodges 1958). Row by
 * row, q[j] is the share of paths to (i, j) that have left it; the terms are all positive, so the tail keeps its relative
 * precision (Viehmann 2021).
 */
function exactPValue(statistic: number, n: number, m: number): number {
  const divisor = greatestCommonDivisor(n, m);
  const stepN = m / divisor;
  const stepM = n / divisor;
  // The statistic is a whole multiple of 1 / lcm(n, m).
  const bound = Math.round(statistic * n * stepN);
  if (bound === 0) return 1;
  if (n === m) return equalSizesPValue(n, bound);
  const q = new Float64Array(m + 1).fill(1);
  for (let i = 0; i <= n; i++) {
    const low = Math.max(0, Math.floor((i * stepN - bound) / stepM) + 1);
    const high = Math.min(m, Math.ceil((i * stepN + bound) / stepM) - 1);
    // Left of the band every path is out; right of it q still holds the 1 of the start.
    let left = low === 0 ? 0 : 1;
    if (low > 0) q[low - 1] = 1;
    for (let j = low; j <= high; j++) {
      left = i + j === 0 ? 0 : (i * q[j]! + j * left) / (i + j);
      q[j] = left;
    }
  }
  return Math.min(1, q[m]!);
}

/** n = m: 2 sum_k (-1)^(k-1) C(2n, n - k h) / C(2n, n), the reflection principle (Gnedenko and Korolyuk 1951). h = n D. */
function equalSizesPValue(n: number, h: number): number {
  let term = 1;
  let sum = 0;
  for (let k = 0; (k + 1) * h <= n; k++) {
    for (let j = 0; j < h; j++) term *= (n - k * h - j) / (n + k * h + j + 1);
    sum += k % 2 === 0 ? term : -term;
  }
  return Math.min(1, Math.max(0, 2 * sum));
}

function greatestCommonDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}
