/** Sampled entities of a stretch of time. */
export interface FreshnessCount {
  readonly young: number;
  readonly sampled: number;
}

export interface BurnRates {
  /** Share of too old entities over the share that is allowed, over the whole window. */
  readonly long: number;
  /** Over its last twelfth: the objective is still being missed. */
  readonly short: number;
}

/**
 * Google's "Site Reliability Workbook", chapter 5, with one pair of windows: an alert wants both above 1, so it neither fires on a
 * short dip nor stays when the fault is mended.
 */
export function burnRates(fraction: number, long: FreshnessCount, short: FreshnessCount): BurnRates {
  return { long: burnRate(fraction, long), short: burnRate(fraction, short) };
}

/** One twelfth: five minutes of an hour. */
export const SHORT_WINDOW_SHARE = 1 / 12;

/** An objective of all entities allows none; then one old entity in a million counts as burning at once. */
const ALLOWED_MIN = 1e-6;

function burnRate(fraction: number, { young, sampled }: FreshnessCount): number {
  return sampled === 0 ? 0 : (sampled - young) / sampled / Math.max(1 - fraction, ALLOWED_MIN);
}
