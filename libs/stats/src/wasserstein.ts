import { assert } from '@headrace/base/assert';
import { totalOf } from './binning.js';

/**
 * First Wasserstein (earth mover's) distance of two ascending samples, in column units: the area between the two empirical
 * distribution functions. Exact; equals scipy.stats.wasserstein_distance (NannyML does not norm it). NaN if a sample is empty.
 */
export function wassersteinDistance(sortedReference: Float64Array, sortedCurrent: Float64Array): number {
  const n = sortedReference.length;
  const m = sortedCurrent.length;
  if (n === 0 || m === 0) return NaN;
  let i = 0;
  let j = 0;
  let area = 0;
  let at = Math.min(sortedReference[0]!, sortedCurrent[0]!);
  while (i < n || j < m) {
    const next = j >= m || (i < n && sortedReference[i]! <= sortedCurrent[j]!) ? sortedReference[i]! : sortedCurrent[j]!;
    area += Math.abs(i / n - j / m) * (next - at);
    at = next;
    while (i < n && sortedReference[i] === at) i++;
    while (j < m && sortedCurrent[j] === at) j++;
  }
  return area;
}

/** W1 / max(std of the reference, 0.001), std population: Evidently's `wasserstein`, drift from 0.1. Samples ascending. */
export function wassersteinNormed(sortedReference: Float64Array, sortedCurrent: Float64Array): number {
  return normed(wassersteinDistance(sortedReference, sortedCurrent), populationStd(sortedReference));
}

/** As Evidently norms a distance: a nearly constant reference column does not blow it up. */
export function normed(distance: number, referenceStd: number): number {
  return distance / Math.max(referenceStd, 0.001);
}

/** Finite ends that close the two open cells of a histogram. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/**
 * W1 from two histograms on the same inner edges, each side's mass spread evenly in its cells (the outer cells end at the common
 * min and max). The area between the two piecewise linear distribution functions, exactly integrated. The true W1 of the values
 * differs by at most the sum over cells of (r + c) / 2 * width, r and c the shares in the cell.
 */
export function wassersteinOfCells(
  reference: ArrayLike<number>,
  current: ArrayLike<number>,
  edges: ArrayLike<number>,
  referenceRange: Range,
  currentRange: Range,
): number {
  assert(
    reference.length === edges.length + 1 && current.length === reference.length,
    `${edges.length} edges make ${edges.length + 1} cells`,
  );
  const referenceTotal = totalOf(reference);
  const currentTotal = totalOf(current);
  if (referenceTotal === 0 || currentTotal === 0) return NaN;
  const min = Math.min(referenceRange.min, currentRange.min);
  const max = Math.max(referenceRange.max, currentRange.max);
  let gap = 0;
  let area = 0;
  for (let cell = 0; cell < reference.length; cell++) {
    const low = cell === 0 ? Math.min(min, edges[0] ?? min) : edges[cell - 1]!;
    const high = cell === edges.length ? Math.max(max, edges[cell - 1] ?? max) : edges[cell]!;
    const nextGap = gap + reference[cell]! / referenceTotal - current[cell]! / currentTotal;
    area += meanAbsolute(gap, nextGap) * (high - low);
    gap = nextGap;
  }
  return area;
}

/** Mean of |y| along a straight line from a to b. */
function meanAbsolute(a: number, b: number): number {
  if (a * b >= 0) return Math.abs(a + b) / 2;
  return (a * a + b * b) / (2 * Math.abs(b - a));
}

function populationStd(values: Float64Array): number {
  let mean = 0;
  for (let i = 0; i < values.length; i++) mean += (values[i]! - mean) / (i + 1);
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i]! - mean) ** 2;
  return Math.sqrt(squares / values.length);
}
