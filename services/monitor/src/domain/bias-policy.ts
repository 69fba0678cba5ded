import { assert } from '@headrace/base/assert';
import type { FairnessMetric } from '@headrace/definitions/model-definition';
import type { Confusion, RateName } from '@headrace/stats/confusion';
import { decisions, RATES } from '@headrace/stats/confusion';
import { disparity, type Disparity } from '@headrace/stats/group-metrics';
import { two, type Evidence, type Finding, type Verdict } from './finding.js';
import { comparableGroups, REDACTED, type GroupCounts } from './group-counts.js';
import type { Span } from './windows.js';

export interface BiasRule {
  readonly attribute: string;
  readonly metric: FairnessMetric;
  readonly ceiling: number;
}

export interface BiasLimits {
  readonly minGroupSize: number;
  readonly minSamples: number;
}

/** Confidence of the intervals; shared out over the pairs of groups by libs/stats. */
export const CONFIDENCE = 0.95;

/** Selection can be judged as soon as predictions come; the other rates need labels. */
export const needsLabels = (metric: FairnessMetric): boolean => metric !== 'demographic_parity_difference';

/**
 * Judges one rule over one window. Breach: the gap is over the ceiling, and so is the lower end of its interval, so that a small group
 * cannot raise an alarm by chance. Clean: the gap is not over the ceiling.
 */
export function judgeBias(rule: BiasRule, counts: GroupCounts, limits: BiasLimits, version: number, span: Span): Finding {
  const groups = counts.groups(rule.attribute);
  const widest = widestGap(rule.metric, groups, limits);
  const samples = RATES[needsLabels(rule.metric) ? 'accuracy' : 'selectionRate'](counts.overall).n;
  const verdict = verdictOf(widest, rule, samples, limits);
  return {
    kind: 'bias',
    subject: rule.attribute,
    metric: rule.metric,
    value: widest.difference,
    threshold: rule.ceiling,
    samples,
    verdict,
    sentence:
      verdict === 'insufficient'
        ? `${NAME[rule.metric]} on ${rule.attribute}: ${whyNot(groups, samples)}`
        : sentenceOf(rule, widest, groups, version),
    groups,
    evidence: evidenceOf(rule.attribute, widest),
    span,
  };
}

function whyNot(groups: ReadonlyMap<string, Confusion>, samples: number): string {
  const redacted = groups.get(REDACTED);
  const n = redacted ? decisions(redacted) : 0;
  return n > 0
    ? `the prediction log omits the attribute of ${n} predictions, so their groups cannot be compared; redact it by \`hash\``
    : `too few rows to compare groups (n=${samples})`;
}

/** Equalized odds is the wider of two gaps (Hardt, Price, Srebro 2016; Fairlearn's worst case). */
export function widestGap(
  metric: FairnessMetric,
  groups: ReadonlyMap<string, Confusion>,
  { minGroupSize }: Pick<BiasLimits, 'minGroupSize'>,
): Disparity {
  const named = comparableGroups(groups);
  const gaps = RATES_OF[metric].map((rate) => disparity(named, rate, { minGroupSize, confidence: CONFIDENCE }));
  return gaps.reduce((a, b) => (b.difference > a.difference || Number.isNaN(a.difference) ? b : a));
}

function verdictOf(gap: Disparity, { ceiling }: BiasRule, samples: number, { minSamples }: BiasLimits): Verdict {
  if (samples < minSamples || !gap.interval) return 'insufficient';
  if (gap.difference <= ceiling) return 'clean';
  return gap.interval.low > ceiling ? 'breach' : 'unclear';
}

function sentenceOf(
  { attribute, metric, ceiling }: BiasRule,
  gap: Disparity,
  groups: ReadonlyMap<string, Confusion>,
  version: number,
): string {
  const { interval, lowest, highest, rate } = gap;
  assert(interval && lowest !== null && highest !== null, 'a gap that was judged has groups and an interval');
  const of = (group: string): string => {
    const { successes, n } = RATES[rate](groups.get(group)!);
    return `${two(successes / n)} of ${attribute}=${group} (n=${n})`;
  };
  return `${NAME[metric]} on ${attribute} is ${two(gap.difference)} (95 % interval ${two(interval.low)}..${two(interval.high)}), ceiling ${two(ceiling)}: ${STORY[rate] ?? 'version'} ${version} ${VERB[rate] ?? 'selects'} ${of(lowest)} and ${of(highest)}`;
}

/** Those who were passed over in the worst-off group, or wrongly picked in the other. */
function evidenceOf(attribute: string, { rate, lowest, highest }: Disparity): Evidence | undefined {
  if (lowest === null || highest === null) return undefined;
  if (rate === 'falsePositiveRate') return { attribute, group: highest, selected: true, label: false };
  return { attribute, group: lowest, selected: false, label: rate === 'truePositiveRate' ? true : undefined };
}

const RATES_OF: Readonly<Record<FairnessMetric, readonly RateName[]>> = {
  equal_opportunity_difference: ['truePositiveRate'],
  demographic_parity_difference: ['selectionRate'],
  equalized_odds_difference: ['truePositiveRate', 'falsePositiveRate'],
};

const NAME: Readonly<Record<FairnessMetric, string>> = {
  equal_opportunity_difference: 'Equal-opportunity difference',
  demographic_parity_difference: 'Demographic-parity difference',
  equalized_odds_difference: 'Equalized-odds difference',
};

const STORY: Readonly<Partial<Record<RateName, string>>> = {
  truePositiveRate: 'of the people who have the outcome, version',
  falsePositiveRate: 'of the people who do not have the outcome, version',
  selectionRate: 'version',
};

const VERB: Readonly<Partial<Record<RateName, string>>> = {
  truePositiveRate: 'finds',
  falsePositiveRate: 'wrongly selects',
  selectionRate: 'selects',
};
