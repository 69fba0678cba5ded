import { assert } from '@headrace/base/assert';
import { inverseRegularizedBeta } from './special.js';
import { normalQuantile } from './tails.js';

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Wilson's score interval of a proportion (JASA 22, 1927), without continuity correction: good coverage from n = 10 on, never
 * outside [0, 1]. Equals scipy binomtest.proportion_ci('wilson'). n = 0 says nothing: [0, 1].
 */
export function wilsonInterval(successes: number, n: number, confidence = 0.95): Interval {
  if (n === 0) return { low: 0, high: 1 };
  assert(successes >= 0 && successes <= n, `${successes} successes of ${n} trials`);
  const z = twoSidedZ(confidence);
  const p = successes / n;
  const centre = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  // At 0 and n one limit is exact; rounding would leave it a hair off.
  return { low: successes === 0 ? 0 : centre - half, high: successes === n ? 1 : centre + half };
}

/**
 * Newcombe's hybrid score interval of p1 - p2 (Statistics in Medicine 17, 1998, method 10), from the two Wilson intervals.
 * Equals statsmodels confint_proportions_2indep(method='newcomb').
 */
export function newcombeInterval(successes1: number, n1: number, successes2: number, n2: number, confidence = 0.95): Interval {
  if (n1 === 0 || n2 === 0) return { low: -1, high: 1 };
  const p1 = successes1 / n1;
  const p2 = successes2 / n2;
  const first = wilsonInterval(successes1, n1, confidence);
  const second = wilsonInterval(successes2, n2, confidence);
  return {
    low: p1 - p2 - Math.hypot(p1 - first.low, second.high - p2),
    high: p1 - p2 + Math.hypot(first.high - p1, p2 - second.low),
  };
}

/** Clopper-Pearson's exact interval of a proportion (Biometrika 26, 1934): never too narrow, often too wide. Equals scipy binomtest.proportion_ci('exact'). */
export function clopperPearsonInterval(successes: number, n: number, confidence = 0.95): Interval {
  if (n === 0) return { low: 0, high: 1 };
  const tail = (1 - confidence) / 2;
  return {
    low: successes === 0 ? 0 : inverseRegularizedBeta(successes, n - successes + 1, tail),
    high: successes === n ? 1 : inverseRegularizedBeta(successes + 1, n - successes, 1 - tail),
  };
}

function twoSidedZ(confidence: number): number {
  assert(confidence > 0 && confidence < 1, `confidence lies between 0 and 1, got ${confidence}`);
  return -normalQuantile((1 - confidence) / 2);
}
