import { assert } from '@headrace/base/assert';
import { totalOf } from './binning.js';

/** L-infinity (Chebyshev) distance max |p - q| of aligned counts, 0 .. 1. Equals NannyML's `l_infinity` and Vertex AI's categorical measure. */
export function lInfinityDistance(reference: ArrayLike<number>, current: ArrayLike<number>): number {
  assert(reference.length === current.length, `reference has ${reference.length} bins and current ${current.length}`);
  const referenceTotal = totalOf(reference);
  const currentTotal = totalOf(current);
  if (referenceTotal === 0 || currentTotal === 0) return NaN;
  let largest = 0;
  for (let i = 0; i < reference.length; i++)
    largest = Math.max(largest, Math.abs(reference[i]! / referenceTotal - current[i]! / currentTotal));
  return largest;
}
