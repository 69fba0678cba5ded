import { assert } from '@headrace/base/assert';
import type { Interval } from './intervals.js';
import { logBeta } from './special.js';

/** Failures among the requests of one arm. */
export interface ArmCounts {
  readonly failures: number;
  readonly n: number;
}

/** Plain data: store it between looks. `start()` makes the first one. */
export interface HarmTest {
  readonly canary: ArmCounts;
  readonly baseline: ArmCounts;
  /** log e-value of each bet in `LIFTS`. */
  readonly logE: readonly number[];
  /** Smallest 1 / e so far: a p-value that holds at every look, however often one looks and whenever one stops. */
  readonly pValue: number;
}

export function startHarmTest(): HarmTest {
  return { canary: { failures: 0, n: 0 }, baseline: { failures: 0, n: 0 }, logE: LIFTS.map(() => 0), pValue: 1 };
}

/**
 * Is the canary's failure rate higher than the baseline's? Adds what both arms did since the last look (any sizes, cut by the clock,
 * never by what the outcomes were). Stop the canary when pValue <= alpha: with equal or better canaries that ever happens with
 * probability <= alpha. Exact for any rate and sample size, no normal approximation, so single failures at 0.1 % are safe.
 *
 * Two-sample e-process of Turner, Ly and Gruenwald, "Generic E-variables for exact sequential k-sample tests" (2021): a block's
 * e-value is its likelihood under (theta_canary, theta_baseline) over that under their pooled mean, where both come from earlier blocks.
 * The alternatives are the baseline's rate times each lift; the average of e-processes is one again (one-sided because lifts are > 1).
 */
export function observeBlock(test: HarmTest, canary: ArmCounts, baseline: ArmCounts): HarmTest {
  assertCounts(canary);
  assertCounts(baseline);
  const past = test.canary.n + test.baseline.n;
  const block = canary.n + baseline.n;
  let { logE, pValue } = test;
  // The first block only teaches the rate; one with a single arm has no comparison in it (its e-value is 1).
  if (past > 0 && canary.n > 0 && baseline.n > 0) {
    const rate = (test.canary.failures + test.baseline.failures + 0.5) / (past + 1);
    logE = LIFTS.map((lift, bet) => {
      const lifted = Math.min(lift * rate, (rate + 1) / 2);
      const pooled = (canary.n * lifted + baseline.n * rate) / block;
      return test.logE[bet]! + logLikelihoodRatio(canary, lifted, pooled) + logLikelihoodRatio(baseline, rate, pooled);
    });
    pValue = Math.min(pValue, Math.exp(-logMean(logE)));
  }
  return { canary: add(test.canary, canary), baseline: add(test.baseline, baseline), logE, pValue };
}

/** The e-value itself, the factor by which a bettor against "no harm" has multiplied the stake. */
export function eValue(test: HarmTest): number {
  return Math.exp(logMean(test.logE));
}

/** Alternatives: the canary fails so many times as often as the baseline. */
export const LIFTS: readonly number[] = [1.2, 1.5, 2, 4, 10];

/**
 * Confidence sequence of a Bernoulli rate: holds at all sample sizes at once with probability >= 1 - alpha. Beta(1/2, 1/2) mixture of
 * likelihood ratios and Ville's inequality (Robbins 1970): { p : B(x + 1/2, n - x + 1/2) / B(1/2, 1/2) < p^x (1 - p)^(n - x) / alpha }.
 * About 1.5 to 2 times as wide as a fixed-sample interval. Assumes the rate stays the same.
 */
export function confidenceSequence({ failures: x, n }: ArmCounts, alpha = 0.05): Interval {
  assertCounts({ failures: x, n });
  if (n === 0) return { low: 0, high: 1 };
  const logMixture = logBeta(x + 0.5, n - x + 0.5) - logBeta(0.5, 0.5);
  const isInside = (p: number): boolean => logMixture - logLikelihood(x, n, p) < -Math.log(alpha);
  const mode = x / n;
  return { low: x === 0 ? 0 : boundary(mode, 0, isInside), high: x === n ? 1 : boundary(mode, 1, isInside) };
}

/**
 * Confidence sequence of (canary rate - baseline rate), from both arms at alpha / 2 each: the canary may be promoted as "not worse by
 * more than the margin" at the first look where high < margin. Conservative.
 */
export function differenceSequence(canary: ArmCounts, baseline: ArmCounts, alpha = 0.05): Interval {
  const c = confidenceSequence(canary, alpha / 2);
  const b = confidenceSequence(baseline, alpha / 2);
  return { low: c.low - b.high, high: c.high - b.low };
}

function logLikelihood(x: number, n: number, p: number): number {
  return (x === 0 ? 0 : x * Math.log(p)) + (x === n ? 0 : (n - x) * Math.log1p(-p));
}

function logLikelihoodRatio({ failures, n }: ArmCounts, p: number, pooled: number): number {
  return logLikelihood(failures, n, p) - logLikelihood(failures, n, pooled);
}

/** Where `isInside` ends between a point inside and one outside; 100 halvings at most. */
function boundary(inside: number, outside: number, isInside: (p: number) => boolean): number {
  for (let step = 0; step < 100; step++) {
    const middle = (inside + outside) / 2;
    if (middle === inside || middle === outside) break;
    if (isInside(middle)) inside = middle;
    else outside = middle;
  }
  return outside;
}

function logMean(logs: readonly number[]): number {
  const largest = Math.max(...logs);
  return largest + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - largest), 0) / logs.length);
}

function add(a: ArmCounts, b: ArmCounts): ArmCounts {
  return { failures: a.failures + b.failures, n: a.n + b.n };
}

function assertCounts({ failures, n }: ArmCounts): void {
  assert(failures >= 0 && failures <= n, `failures lie between 0 and n, got ${failures} of ${n}`);
}
