import { assert } from '@headrace/base/assert';
import { emptyConfusion, mergeConfusion, rateOf, RATES, type Confusion, type Rate, type RateName } from './confusion.js';
import { newcombeInterval, type Interval } from './intervals.js';

/** Confusions by group: the key is a group value, or a joined key of an intersection (`groupKey`). */
export type GroupConfusions = ReadonlyMap<string, Confusion>;

export interface ComparisonOptions {
  /** A group takes part in comparing a rate only if the rate's own denominator has at least so many decisions. Default 30. */
  readonly minGroupSize?: number;
  /** Of the intervals; for the largest gap shared out over all pairs of groups (Bonferroni), for it is picked after looking. Default 0.95. */
  readonly confidence?: number;
  /** `between_groups`: largest against smallest group. `to_overall`: each group against all rows (Fairlearn's two methods). */
  readonly method?: 'between_groups' | 'to_overall';
}

/** How one rate differs between groups. */
export interface Disparity {
  readonly rate: RateName;
  /** Largest absolute difference, 0 .. 1; NaN when fewer than two groups can be compared (to_overall: none). */
  readonly difference: number;
  /** Smallest ratio, 0 .. 1. NaN as above, and when both rates are 0. */
  readonly ratio: number;
  /** Groups with the lowest and highest value (to_overall: of the widest difference; `null` stands for all rows). */
  readonly lowest: string | null;
  readonly highest: string | null;
  /** Newcombe's interval of highest - lowest, widened for the number of pairs. Undefined when nothing was compared, or to_overall. */
  readonly interval: Interval | undefined;
  /** The interval excludes 0: the difference is more than chance. */
  readonly significant: boolean;
  /** Groups left out because they are too small; they are reported, not compared. */
  readonly tooSmall: readonly string[];
}

/**
 * Largest disparity of one rate over the groups. Differences and ratios equal Fairlearn's MetricFrame (`difference`, `ratio`) whenever
 * all groups are large enough; unlike there, a rate without any row in its denominator is unknown and not 0.
 */
export function disparity(groups: GroupConfusions, rate: RateName, options: ComparisonOptions = {}): Disparity {
  const minGroupSize = Math.max(1, options.minGroupSize ?? 30);
  const confidence = options.confidence ?? 0.95;
  const compared: { key: string; value: number; successes: number; n: number }[] = [];
  const tooSmall: string[] = [];
  for (const [key, confusion] of groups) {
    const { successes, n } = RATES[rate](confusion);
    if (n >= minGroupSize) compared.push({ key, successes, n, value: successes / n });
    else tooSmall.push(key);
  }
  if (options.method === 'to_overall') return { ...toOverall(compared, groups, rate), tooSmall };
  if (compared.length < 2) return { rate, ...NOTHING, tooSmall };
  const lowest = compared.reduce((a, b) => (b.value < a.value ? b : a));
  const highest = compared.reduce((a, b) => (b.value > a.value ? b : a));
  const pairs = (compared.length * (compared.length - 1)) / 2;
  const interval = newcombeInterval(highest.successes, highest.n, lowest.successes, lowest.n, 1 - (1 - confidence) / pairs);
  return {
    rate,
    difference: highest.value - lowest.value,
    ratio: lowest.value / highest.value,
    lowest: lowest.key,
    highest: highest.key,
    interval,
    significant: interval.low > 0,
    tooSmall,
  };
}

/** All of Fairlearn's named group metrics of one grouping, with the disparities they come from. */
export interface FairnessSummary {
  readonly demographicParityDifference: number;
  readonly demographicParityRatio: number;
  /** The worse of the true and false positive rate disparities (agg 'worst_case'), or their mean (agg 'mean'). */
  readonly equalizedOddsDifference: number;
  readonly equalizedOddsRatio: number;
  readonly equalizedOddsDifferenceMean: number;
  readonly equalizedOddsRatioMean: number;
  readonly equalOpportunityDifference: number;
  readonly equalOpportunityRatio: number;
  readonly accuracyDifference: number;
  readonly precisionDifference: number;
  readonly disparities: Readonly<Record<RateName, Disparity>>;
}

/** Equals Fairlearn 0.15 (`fairlearn.metrics`) for groups above the minimum size. NaN: not enough labelled decisions to say. */
export function fairnessSummary(groups: GroupConfusions, options: ComparisonOptions = {}): FairnessSummary {
  const of = (rate: RateName): Disparity => disparity(groups, rate, options);
  const disparities: Record<RateName, Disparity> = {
    selectionRate: of('selectionRate'),
    truePositiveRate: of('truePositiveRate'),
    falsePositiveRate: of('falsePositiveRate'),
    trueNegativeRate: of('trueNegativeRate'),
    falseNegativeRate: of('falseNegativeRate'),
    accuracy: of('accuracy'),
    precision: of('precision'),
    prevalence: of('prevalence'),
  };
  const { selectionRate, truePositiveRate: tpr, falsePositiveRate: fpr } = disparities;
  return {
    demographicParityDifference: selectionRate.difference,
    demographicParityRatio: selectionRate.ratio,
    equalizedOddsDifference: Math.max(tpr.difference, fpr.difference),
    equalizedOddsRatio: Math.min(tpr.ratio, fpr.ratio),
    equalizedOddsDifferenceMean: (tpr.difference + fpr.difference) / 2,
    equalizedOddsRatioMean: (tpr.ratio + fpr.ratio) / 2,
    equalOpportunityDifference: tpr.difference,
    equalOpportunityRatio: tpr.ratio,
    accuracyDifference: disparities.accuracy.difference,
    precisionDifference: disparities.precision.difference,
    disparities,
  };
}

/** Signed metrics of an unprivileged against a privileged group, in the words of AIF360's ClassificationMetric. */
export interface PairMetrics {
  /** P(selected | unprivileged) - P(selected | privileged); 0 is fair, TrustyAI's bounds are +-0.1. `statistical_parity_difference`, SPD. */
  readonly statisticalParityDifference: number;
  readonly statisticalParityInterval: Interval;
  /** P(selected | unprivileged) / P(selected | privileged); the four-fifths rule asks >= 0.8. `disparate_impact`, DIR. */
  readonly disparateImpact: number;
  /** ((FPR_u - FPR_p) + (TPR_u - TPR_p)) / 2. `average_odds_difference`. */
  readonly averageOddsDifference: number;
  /** TPR_u - TPR_p. `equal_opportunity_difference` (signed; Fairlearn's metric of that name is not). */
  readonly equalOpportunityDifference: number;
  readonly equalOpportunityInterval: Interval;
}

/** The signed metrics of two confusions (pool several groups with `poolGroups`). Equals AIF360 0.6. */
export function pairMetrics(privileged: Confusion, unprivileged: Confusion, confidence = 0.95): PairMetrics {
  const gap = (rate: RateName): number => rateOf(unprivileged, rate).value - rateOf(privileged, rate).value;
  const gapInterval = (rate: RateName): Interval => {
    const u = RATES[rate](unprivileged);
    const p = RATES[rate](privileged);
    return newcombeInterval(u.successes, u.n, p.successes, p.n, confidence);
  };
  return {
    statisticalParityDifference: gap('selectionRate'),
    statisticalParityInterval: gapInterval('selectionRate'),
    disparateImpact: rateOf(unprivileged, 'selectionRate').value / rateOf(privileged, 'selectionRate').value,
    averageOddsDifference: (gap('falsePositiveRate') + gap('truePositiveRate')) / 2,
    equalOpportunityDifference: gap('truePositiveRate'),
    equalOpportunityInterval: gapInterval('truePositiveRate'),
  };
}

/** One confusion for several groups together; all of them when no keys are given. */
export function poolGroups(groups: GroupConfusions, keys: Iterable<string> = groups.keys()): Confusion {
  const pooled = emptyConfusion();
  for (const key of keys) {
    const confusion = groups.get(key);
    assert(confusion !== undefined, `group ${key} was counted`);
    mergeConfusion(pooled, confusion);
  }
  return pooled;
}

/** Every rate of every group with its interval, small groups included, for reports. */
export function groupRates(groups: GroupConfusions, rates: readonly RateName[], confidence = 0.95): Map<string, Record<string, Rate>> {
  return new Map(
    [...groups].map(([key, confusion]) => [key, Object.fromEntries(rates.map((rate) => [rate, rateOf(confusion, rate, confidence)]))]),
  );
}

const NOTHING = { difference: NaN, ratio: NaN, lowest: null, highest: null, interval: undefined, significant: false } as const;

/** Fairlearn's `to_overall`: the overall value is that of all rows, small groups included. */
function toOverall(
  compared: readonly { key: string; value: number }[],
  groups: GroupConfusions,
  rate: RateName,
): Omit<Disparity, 'tooSmall'> {
  const overall = rateOf(poolGroups(groups), rate).value;
  if (compared.length === 0) return { rate, ...NOTHING };
  const widest = compared.reduce((a, b) => (Math.abs(b.value - overall) > Math.abs(a.value - overall) ? b : a));
  const ratio = Math.min(...compared.map(({ value }) => Math.min(value / overall, overall / value)));
  const isLower = widest.value < overall;
  return {
    rate,
    difference: Math.abs(widest.value - overall),
    ratio,
    lowest: isLower ? widest.key : null,
    highest: isLower ? null : widest.key,
    interval: undefined,
    significant: false,
  };
}
