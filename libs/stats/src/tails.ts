import { assert } from '@headrace/base/assert';
import { erfc, regularizedBeta, regularizedGammaQ } from './special.js';

/** P(Z <= z) for a standard normal Z (DLMF 7.17). Equals scipy.stats.norm.cdf; both tails keep their relative precision. */
export function normalCdf(z: number): number {
  return 0.5 * erfc(-z / Math.SQRT2);
}

/** P(Z > z). Equals scipy.stats.norm.sf. */
export function normalSf(z: number): number {
  return 0.5 * erfc(z / Math.SQRT2);
}

/**
 * The z with P(Z <= z) = p, 0 < p < 1. Start: Hastings' rational approximation (Abramowitz and Stegun 26.2.23, error 4.5e-4);
 * then four Halley steps, each of which triples the digits. Equals scipy.stats.norm.ppf.
 */
export function normalQuantile(p: number): number {
  assert(p >= 0 && p <= 1, `a probability lies in [0, 1], got ${p}`);
  if (p === 0) return -Infinity;
  if (p === 1) return Infinity;
  if (p > 0.5) return -normalQuantile(1 - p);
  const t = Math.sqrt(-2 * Math.log(p));
  let z = -(t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
  for (let step = 0; step < 4; step++) {
    const error = (normalCdf(z) - p) * Math.sqrt(2 * Math.PI) * Math.exp((z * z) / 2);
    z -= error / (1 + (z * error) / 2);
  }
  return z;
}

/** P(X > x) for chi-square with `dof` degrees of freedom. Equals scipy.stats.chi2.sf. */
export function chiSquareSf(x: number, dof: number): number {
  return x <= 0 ? 1 : regularizedGammaQ(dof / 2, x / 2);
}

/** P(T > t) for Student's t with `dof` degrees of freedom (DLMF 8.17(i)). Equals scipy.stats.t.sf. */
export function studentSf(t: number, dof: number): number {
  const tail = 0.5 * regularizedBeta(dof / 2, 0.5, dof / (dof + t * t));
  return t >= 0 ? tail : 1 - tail;
}
