import { assert } from '@headrace/base/assert';
import { totalOf } from './binning.js';

/**
 * Hellinger distance sqrt(1 - sum sqrt(p q)), 0 .. 1, of aligned counts (Hellinger 1909). Equals Evidently's and NannyML's for the
 * same bins: a density times its bin width is the share. NaN if a side is empty.
 */
export function hellingerDistance(reference: ArrayLike<number>, current: ArrayLike<number>): number {
  assert(reference.length === current.length, `reference has ${reference.length} bins and current ${current.length}`);
  const scale = Math.sqrt(totalOf(reference)) * Math.sqrt(totalOf(current));
  let affinity = 0;
  for (let i = 0; i < reference.length; i++) affinity += Math.sqrt(reference[i]! * current[i]!);
  return Math.sqrt(1 - Math.min(1, affinity / scale));
}
