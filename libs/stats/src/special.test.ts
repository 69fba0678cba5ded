import { it } from 'vitest';
import { golden, expectClose, expectRelative } from '../golden/read-golden.js';
import { erf, erfc, inverseRegularizedBeta, logGamma, regularizedBeta, regularizedGammaP, regularizedGammaQ } from './special.js';
import { chiSquareSf, normalCdf, normalQuantile, normalSf, studentSf } from './tails.js';
import { kolmogorovSf } from './kolmogorov-distribution.js';

type Rows = readonly (readonly number[])[];
const tables = golden<Record<string, Rows>>('special');

/** Tails below 1e-280 lose digits to denormal numbers in both tools. */
function expectTail(actual: number, expected: number, tolerance: number, what: string): void {
  if (Math.abs(expected) < 1e-280) expectClose(actual, expected, 1e-280, what);
  else expectRelative(actual, expected, tolerance, what);
}

function eachRow(table: string, check: (row: readonly [number, number, number, number], what: string) => void): void {
  for (const row of tables[table]!) check(row as unknown as readonly [number, number, number, number], `${table}(${row.join(', ')})`);
}

it('equals scipy.special for the gamma function and the error functions, in the tails too', () => {
  eachRow('logGamma', ([x, expected], what) => expectClose(logGamma(x), expected, 1e-13 * Math.max(1, Math.abs(expected)), what));
  eachRow('erf', ([x, expected], what) => expectRelative(erf(x), expected, 1e-13, what));
  eachRow('erfc', ([x, expected], what) => expectTail(erfc(x), expected, 1e-12, what));
});

it('equals scipy.special for both incomplete gamma functions up to a = 500,000', () => {
  eachRow('gamma', ([a, x, p, q], what) => {
    expectTail(regularizedGammaP(a, x), p, 1e-9, `P ${what}`);
    expectTail(regularizedGammaQ(a, x), q, 1e-9, `Q ${what}`);
  });
});

it('equals scipy.special for the incomplete beta function and its inverse', () => {
  eachRow('beta', ([a, b, x, expected], what) => expectTail(regularizedBeta(a, b, x), expected, 1e-9, what));
  eachRow('betaInverse', ([a, b, p, expected], what) => expectRelative(inverseRegularizedBeta(a, b, p), expected, 1e-9, what));
});

it('equals scipy.stats for the normal, t and chi-square tails, relatively', () => {
  eachRow('normal', ([z, cdf, sf], what) => {
    expectTail(normalCdf(z), cdf, 1e-11, `cdf ${what}`);
    expectTail(normalSf(z), sf, 1e-11, `sf ${what}`);
  });
  eachRow('normalQuantile', ([p, expected], what) =>
    expectClose(normalQuantile(p), expected, 1e-12 * Math.max(1, Math.abs(expected)), what),
  );
  eachRow('student', ([t, dof, expected], what) => expectTail(studentSf(t, dof), expected, 1e-9, what));
  eachRow('chiSquare', ([x, dof, expected], what) => expectTail(chiSquareSf(x, dof), expected, 1e-10, what));
});

it('equals scipy.stats.kstwo.sf from one value to half a million', () => {
  eachRow('kolmogorov', ([n, x, expected], what) => expectTail(kolmogorovSf(n, x), expected, 1e-9, what));
});
