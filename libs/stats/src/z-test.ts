import { normalSf } from './tails.js';

/**
 * Pooled two-proportion z-test, two-sided: z = (p1 - p2) / sqrt(P (1 - P) (1/n1 + 1/n2)). `successes` of `n` on both sides.
 * Equals Evidently's `z` (a success is "value is not the smallest key") and statsmodels proportions_ztest.
 * Both sides all successes or all failures: z = 0, p = 1.
 */
export function twoProportionZTest(successes1: number, n1: number, successes2: number, n2: number): { z: number; pValue: number } {
  const pooled = (successes1 + successes2) / (n1 + n2);
  if (pooled === 0 || pooled === 1) return { z: 0, pValue: 1 };
  const z = (successes1 / n1 - successes2 / n2) / Math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2));
  return { z, pValue: 2 * normalSf(Math.abs(z)) };
}
