import { assert } from '@headrace/base/assert';

/**
 * Natural logarithm of the gamma function for x > 0. Stirling's series after shifting x up to 12 or more
 * (DLMF 5.11.1, 5.5.1). Error: about 1e-15 relative, or 1e-15 absolute near the zeros at 1 and 2.
 */
export function logGamma(x: number): number {
  assert(x > 0, `logGamma needs x > 0, got ${x}`);
  let shift = 1;
  let shifted = x;
  while (shifted < STIRLING_FROM) shift *= shifted++;
  return (shifted - 0.5) * Math.log(shifted) - shifted + HALF_LOG_2PI + stirlingCorrection(shifted) - Math.log(shift);
}

/** Natural logarithm of the beta function B(a, b), a and b > 0. */
export function logBeta(a: number, b: number): number {
  return logGamma(a) + logGamma(b) - logGamma(a + b);
}

/** log of n choose k. */
export function logChoose(n: number, k: number): number {
  return logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1);
}

/** Error function, as P(1/2, x^2) (DLMF 7.11.1). Equals math.erf to about 1e-14. */
export function erf(x: number): number {
  return x < 0 ? -erf(-x) : regularizedGammaP(0.5, x * x);
}

/** Complementary error function; keeps its relative precision in the upper tail, where 1 - erf(x) has none left. */
export function erfc(x: number): number {
  return x < 0 ? 1 + regularizedGammaP(0.5, x * x) : regularizedGammaQ(0.5, x * x);
}

/** Regularized lower incomplete gamma function P(a, x), a > 0, x >= 0 (DLMF 8.2.4). Equals scipy.special.gammainc. */
export function regularizedGammaP(a: number, x: number): number {
  assert(a > 0 && x >= 0, `the incomplete gamma function needs a > 0 and x >= 0, got a=${a}, x=${x}`);
  if (x === 0) return 0;
  if (x === Infinity) return 1;
  return x < a + 1 ? gammaSeries(a, x) : 1 - gammaContinuedFraction(a, x);
}

/** Regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x). Equals scipy.special.gammaincc. */
export function regularizedGammaQ(a: number, x: number): number {
  assert(a > 0 && x >= 0, `the incomplete gamma function needs a > 0 and x >= 0, got a=${a}, x=${x}`);
  if (x === 0) return 1;
  if (x === Infinity) return 0;
  return x < a + 1 ? 1 - gammaSeries(a, x) : gammaContinuedFraction(a, x);
}

/** Regularized incomplete beta function I_x(a, b), a and b > 0, 0 <= x <= 1 (DLMF 8.17.22). Equals scipy.special.betainc. */
export function regularizedBeta(a: number, b: number, x: number): number {
  assert(a > 0 && b > 0 && x >= 0 && x <= 1, `the incomplete beta function needs a, b > 0 and 0 <= x <= 1, got a=${a}, b=${b}, x=${x}`);
  if (x === 0 || x === 1) return x;
  // The fraction converges fast below the mean only; above it the mirrored one does.
  return x < (a + 1) / (a + b + 2) ? betaContinuedFraction(a, b, x) : 1 - betaContinuedFraction(b, a, 1 - x);
}

/** The x with I_x(a, b) = p, by bisection to the last bit (at most 1,100 halvings, about 60 in practice). Equals scipy.special.betaincinv. */
export function inverseRegularizedBeta(a: number, b: number, p: number): number {
  assert(p >= 0 && p <= 1, `a probability lies in [0, 1], got ${p}`);
  if (p === 0 || p === 1) return p;
  let low = 0;
  let high = 1;
  for (let step = 0; step < 1100; step++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (regularizedBeta(a, b, middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

const HALF_LOG_2PI = 0.5 * Math.log(2 * Math.PI);
/** From here on `stirlingCorrection` is exact to rounding. */
export const STIRLING_FROM = 12;
/** Terms of the series and fractions below; each needs about sqrt(a) of them, so this serves samples up to about 1e9. */
const TERMS_MAX = 500_000;
const TINY = 1e-300;
const EPSILON = 2 ** -53;

/** log Gamma(x) minus Stirling's leading terms: sum of B_2k / (2k (2k-1) x^(2k-1)), for x >= 12 (DLMF 5.11.1). */
export function stirlingCorrection(x: number): number {
  const r = 1 / (x * x);
  return (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188 - r * (691 / 360360 - r / 156)))))) / x;
}

/** x^a e^-x / Gamma(a + 1). For large a in the form of Temme, where the big terms cancel before they are computed. */
function gammaPrefactor(a: number, x: number): number {
  if (a < STIRLING_FROM) return Math.exp(a * Math.log(x) - x - logGamma(a + 1));
  return Math.exp(-a * excessOfRatio(x, a) - stirlingCorrection(a)) / Math.sqrt(2 * Math.PI * a);
}

/** x/m - 1 - log(x/m), the exact cost of missing a mean m; no cancellation near x = m. */
function excessOfRatio(x: number, m: number): number {
  const d = (x - m) / m;
  if (Math.abs(d) > 0.1) return d - Math.log(x / m);
  let sum = 0;
  let power = d * d;
  for (let k = 2; k < 40 && Math.abs(power) > 1e-320; k++, power *= -d) sum += power / k;
  return sum;
}

/** P(a, x) by its power series (DLMF 8.7.1): all terms positive. */
function gammaSeries(a: number, x: number): number {
  let term = 1;
  let sum = 1;
  for (let n = 1; n < TERMS_MAX && term > sum * EPSILON; n++) sum += term *= x / (a + n);
  return Math.min(1, sum * gammaPrefactor(a, x));
}

/** Q(a, x) by its continued fraction (DLMF 8.9.2), evaluated as Lentz does. */
function gammaContinuedFraction(a: number, x: number): number {
  let b = x + 1 - a;
  let c = 1 / TINY;
  let d = 1 / b;
  let fraction = d;
  for (let n = 1; n < TERMS_MAX; n++) {
    const numerator = -n * (n - a);
    b += 2;
    d = 1 / nonZero(numerator * d + b);
    c = nonZero(b + numerator / c);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 4 * EPSILON) break;
  }
  return Math.min(1, fraction * a * gammaPrefactor(a, x));
}

/** I_x(a, b) by its continued fraction (DLMF 8.17.22), evaluated as Lentz does. */
function betaContinuedFraction(a: number, b: number, x: number): number {
  let c = 1;
  let d = 1 / nonZero(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m < TERMS_MAX; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonZero(1 + even * d);
    c = nonZero(1 + even / c);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonZero(1 + odd * d);
    c = nonZero(1 + odd / c);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 4 * EPSILON) break;
  }
  return Math.min(1, (fraction * betaPrefactor(a, b, x)) / a);
}

/** x^a (1-x)^b / B(a, b); for large a and b by Stirling around the mean, where the big terms cancel before they are computed. */
function betaPrefactor(a: number, b: number, x: number): number {
  if (a < STIRLING_FROM || b < STIRLING_FROM) return Math.exp(a * Math.log(x) + b * Math.log1p(-x) - logBeta(a, b));
  const n = a + b;
  // a log(x n / a) + b log((1-x) n / b), each written by its distance from the mean.
  const exponent = -a * excessOfRatio(x * n, a) - b * excessOfRatio((1 - x) * n, b);
  const correction = stirlingCorrection(n) - stirlingCorrection(a) - stirlingCorrection(b);
  return Math.exp(exponent + correction) * Math.sqrt((a * b) / (2 * Math.PI * n));
}

function nonZero(x: number): number {
  return Math.abs(x) < TINY ? TINY : x;
}
