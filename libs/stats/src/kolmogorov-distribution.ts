import { logChoose, STIRLING_FROM, stirlingCorrection } from './special.js';

/**
 * P(D_n >= x) of Kolmogorov's one-sample statistic for n values (the law that scipy calls `kstwo`), by the choice of method of
 * Simard and L'Ecuyer (J. Stat. Software 39(11), 2011): exact matrix for small n x, twice the one-sided tail for large n x^2,
 * Pelz-Good's expansion between. Equals scipy.stats.kstwo.sf to about 1e-9; where the expansion serves, both are good to about 1e-7.
 */
export function kolmogorovSf(n: number, x: number): number {
  if (x <= 0) return 1;
  if (x >= 1) return 0;
  const nxx = n * x * x;
  if (nxx >= 370) return 0;
  if (x >= 0.5 || nxx >= (n <= 140 ? 4 : 2.2)) return Math.min(1, 2 * oneSidedSf(n, x));
  const exact = n <= 140 || (n <= 100_000 && n * x ** 1.5 <= 1.4);
  const cdf = exact ? matrixCdf(n, x) : pelzGoodCdf(n, x);
  return Math.min(1, Math.max(0, 1 - cdf));
}

/**
 * P(D_n+ >= x), Smirnov's sum of positive terms (1944): x sum_j C(n, j) (x + j/n)^(j-1) (1 - x - j/n)^(n-j). For large n the terms
 * are a smooth bump that vanishes at both ends (n x > 100 here), which the trapezoid rule sums to rounding from every stride-th term.
 */
function oneSidedSf(n: number, x: number): number {
  const stride = Math.max(1, Math.floor(n / TERMS));
  let sum = 0;
  for (let j = 0; j < n && x + j / n < 1; j += stride) sum += Math.exp(logSmirnovTerm(n, j, x));
  return Math.min(1, x * stride * sum);
}

const TERMS = 4096;

/** log of C(n, j) (x + j/n)^(j-1) (1 - x - j/n)^(n-j); by Stirling where j and n - j allow, so that the big logarithms cancel first. */
function logSmirnovTerm(n: number, j: number, x: number): number {
  const p = j / n;
  if (j < STIRLING_FROM || n - j < STIRLING_FROM) return logChoose(n, j) + (j - 1) * Math.log(x + p) + (n - j) * Math.log1p(-x - p);
  const binomialAtItsMode =
    0.5 * Math.log(n / (2 * Math.PI * j * (n - j))) + stirlingCorrection(n) - stirlingCorrection(j) - stirlingCorrection(n - j);
  return binomialAtItsMode + j * Math.log1p(x / p) + (n - j) * Math.log1p(-x / (1 - p)) - Math.log(x + p);
}

/** P(D_n < x) exactly, as an entry of the n-th power of Durbin's matrix (Marsaglia, Tsang and Wang, J. Stat. Software 8(18), 2003). */
function matrixCdf(n: number, x: number): number {
  const k = Math.ceil(n * x);
  const h = k - n * x;
  const size = 2 * k - 1;
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++) for (let j = 0; j <= Math.min(size - 1, i + 1); j++) matrix[i * size + j] = 1;
  for (let i = 0; i < size; i++) {
    matrix[i * size]! -= h ** (i + 1);
    matrix[(size - 1) * size + i]! -= h ** (size - i);
  }
  if (2 * h > 1) matrix[(size - 1) * size]! += (2 * h - 1) ** size;
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= Math.min(size - 1, i + 1); j++) for (let g = 2; g <= i - j + 1; g++) matrix[i * size + j]! /= g;
  const power = matrixPower({ values: matrix, exponent: 0 }, size, n);
  let cdf = power.values[(k - 1) * size + k - 1]!;
  let exponent = power.exponent;
  for (let i = 1; i <= n; i++) {
    cdf *= i / n;
    if (cdf < 1e-140) {
      cdf *= 1e140;
      exponent -= 140;
    }
  }
  return cdf * 10 ** exponent;
}

/** A matrix times 10^exponent, so that powers neither overflow nor vanish. */
interface ScaledMatrix {
  readonly values: Float64Array;
  readonly exponent: number;
}

function matrixPower(base: ScaledMatrix, size: number, power: number): ScaledMatrix {
  if (power === 1) return base;
  const half = matrixPower(base, size, Math.floor(power / 2));
  const square = multiply(half, half, size);
  return power % 2 === 0 ? square : multiply(base, square, size);
}

function multiply(a: ScaledMatrix, b: ScaledMatrix, size: number): ScaledMatrix {
  const values = new Float64Array(size * size);
  for (let i = 0; i < size; i++)
    for (let inner = 0; inner < size; inner++) {
      const factor = a.values[i * size + inner]!;
      if (factor === 0) continue;
      for (let j = 0; j < size; j++) values[i * size + j]! += factor * b.values[inner * size + j]!;
    }
  const middle = (size - 1) / 2;
  const exponent = a.exponent + b.exponent;
  return values[middle * size + middle]! > 1e140
    ? { values: values.map((value) => value * 1e-140), exponent: exponent + 140 }
    : { values, exponent };
}

/**
 * P(D_n <= x) by the first four terms in 1/sqrt(n) (Pelz and Good, JRSS B 38, 1976), as theta series that converge fast for
 * small z = sqrt(n) x. Sums over m run over the odd numbers, sums over k over all from 1.
 */
function pelzGoodCdf(n: number, x: number): number {
  const z = Math.sqrt(n) * x;
  const z2 = z * z;
  const pi2 = Math.PI ** 2;
  let k0 = 0;
  let k1 = 0;
  let k2 = 0;
  let k3 = 0;
  const terms = Math.ceil((16 * z) / Math.PI);
  for (let k = 1; k <= terms; k++) {
    const a = ((2 * k - 1) ** 2 * pi2) / 4;
    const weight = Math.exp(-a / (2 * z2));
    k0 += weight;
    k1 += weight * (a - z2);
    k2 += weight * (6 * z2 ** 3 + 2 * z2 ** 2 + (2 * z2 ** 2 - 5 * z2) * a + (1 - 2 * z2) * a * a);
    k3 +=
      weight *
      (-30 * z2 ** 3 - 90 * z2 ** 4 + (135 * z2 ** 2 - 96 * z2 ** 3) * a + (212 * z2 ** 2 - 60 * z2) * a * a + (5 - 30 * z2) * a ** 3);
  }
  let k2Even = 0;
  let k3Even = 0;
  for (let k = 1; k <= terms; k++) {
    const a = k * k * pi2;
    const weight = Math.exp(-a / (2 * z2));
    k2Even += weight * a;
    k3Even += weight * a * (3 * z2 - a);
  }
  const scale = Math.sqrt(2 * Math.PI);
  const term0 = k0 / z;
  const term1 = k1 / (6 * z2 ** 2);
  const term2 = k2 / (72 * z ** 7) - k2Even / (36 * z ** 3);
  const term3 = k3 / (6480 * z ** 10) + k3Even / (216 * z ** 6);
  return scale * (term0 + term1 / Math.sqrt(n) + term2 / n + term3 / n ** 1.5);
}
