import { assert } from '@headrace/base/assert';
import { totalOf } from './binning.js';

/**
 * Jensen-Shannon distance: the square root of (KL(p, m) + KL(q, m)) / 2 with m = (p + q) / 2 (Endres and Schindelin 2003).
 * Counts are aligned and need not be normalised; empty bins need no fill. Base e (Evidently: 0 .. 0.8326) or base 2
 * (NannyML: 0 .. 1). Equals scipy.spatial.distance.jensenshannon; NaN if a side is empty.
 */
export function jensenShannonDistance(reference: ArrayLike<number>, current: ArrayLike<number>, base: 'e' | '2'): number {
  assert(reference.length === current.length, `reference has ${reference.length} bins and current ${current.length}`);
  const referenceTotal = totalOf(reference);
  const currentTotal = totalOf(current);
  let divergence = 0;
  for (let i = 0; i < reference.length; i++) {
    const p = reference[i]! / referenceTotal;
    const q = current[i]! / currentTotal;
    const m = (p + q) / 2;
    if (p !== 0) divergence += p * Math.log(p / m);
    if (q !== 0) divergence += q * Math.log(q / m);
  }
  const nats = Math.max(0, divergence / 2);
  return Math.sqrt(base === '2' ? nats / Math.LN2 : nats);
}
