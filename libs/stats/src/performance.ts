import { assert } from '@headrace/base/assert';

/** Share of rows where (score >= threshold) is the label. Labels are 0 or 1. Equals sklearn accuracy_score of the same decisions. */
export function accuracy(scores: ArrayLike<number>, labels: ArrayLike<number>, threshold = 0.5): number {
  return meanOf(scores, labels, (score, label) => (score >= threshold === (label === 1) ? 1 : 0));
}

/** Mean of -log P(label), natural logarithm, scores clipped to [2^-52, 1 - 2^-52]. Equals sklearn.metrics.log_loss. */
export function logLoss(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  return meanOf(scores, labels, logLossOf);
}

/** Mean squared error of the probability (Brier 1950). Equals sklearn.metrics.brier_score_loss. */
export function brierScore(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  return meanOf(scores, labels, (score, label) => (score - label) ** 2);
}

/** Log loss of one row. */
export function logLossOf(score: number, label: number): number {
  const p = Math.min(1 - Number.EPSILON, Math.max(Number.EPSILON, score));
  return -Math.log(label === 1 ? p : 1 - p);
}

/** Mean absolute error of a regression, in label units. */
export function meanAbsoluteError(forecasts: ArrayLike<number>, labels: ArrayLike<number>): number {
  return meanOf(forecasts, labels, (forecast, label) => Math.abs(forecast - label));
}

/** Root of the mean squared error of a regression, in label units. */
export function rootMeanSquaredError(forecasts: ArrayLike<number>, labels: ArrayLike<number>): number {
  return Math.sqrt(meanOf(forecasts, labels, (forecast, label) => (forecast - label) ** 2));
}

/** Coefficient of determination, 1 - SS_residual / SS_total. Equals sklearn.metrics.r2_score; NaN for constant labels. */
export function rSquared(forecasts: ArrayLike<number>, labels: ArrayLike<number>): number {
  const mean = meanOf(labels, labels, (label) => label);
  const total = meanOf(labels, labels, (label) => (label - mean) ** 2);
  return total === 0 ? NaN : 1 - meanOf(forecasts, labels, (forecast, label) => (forecast - label) ** 2) / total;
}

/** NaN for no rows. */
function meanOf(scores: ArrayLike<number>, labels: ArrayLike<number>, of: (score: number, label: number) => number): number {
  assert(scores.length === labels.length, `${scores.length} scores and ${labels.length} labels are as many`);
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += of(scores[i]!, labels[i]!);
  return sum / scores.length;
}
