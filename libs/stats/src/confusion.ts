import { wilsonInterval, type Interval } from './intervals.js';

/** Counted decisions of a binary model, by late label. Plain and mergeable: field by field sums. `selected` = decided positive. */
export interface Confusion {
  tp: number;
  fp: number;
  tn: number;
  fn: number;
  /** Decisions whose label has not come (yet). They count for the selection rate only. */
  unlabelledSelected: number;
  unlabelledRejected: number;
}

export function emptyConfusion(): Confusion {
  return { tp: 0, fp: 0, tn: 0, fn: 0, unlabelledSelected: 0, unlabelledRejected: 0 };
}

/** Counts `weight` decisions; label undefined = not known yet. A negative weight takes them back. */
export function countDecision(confusion: Confusion, selected: boolean, label: boolean | undefined, weight = 1): void {
  if (label === undefined) confusion[selected ? 'unlabelledSelected' : 'unlabelledRejected'] += weight;
  else if (label) confusion[selected ? 'tp' : 'fn'] += weight;
  else confusion[selected ? 'fp' : 'tn'] += weight;
}

/** A label arrived for a decision that was counted without one. */
export function countLateLabel(confusion: Confusion, selected: boolean, label: boolean): void {
  countDecision(confusion, selected, undefined, -1);
  countDecision(confusion, selected, label);
}

/** Adds `other` into `into`. */
export function mergeConfusion(into: Confusion, other: Confusion): Confusion {
  for (const field of CONFUSION_FIELDS) into[field] += other[field];
  return into;
}

const CONFUSION_FIELDS = [
  'tp',
  'fp',
  'tn',
  'fn',
  'unlabelledSelected',
  'unlabelledRejected',
] as const satisfies readonly (keyof Confusion)[];

/** A rate as counts, so that it can be pooled and given an interval. */
export interface Share {
  readonly successes: number;
  readonly n: number;
}

/** Each rate as (successes, n) of a confusion; names as in Fairlearn's metrics. */
export const RATES = {
  /** Share decided positive, labelled or not. */
  selectionRate: (c) => ({ successes: c.tp + c.fp + c.unlabelledSelected, n: decisions(c) }),
  /** Recall, sensitivity. */
  truePositiveRate: (c) => ({ successes: c.tp, n: c.tp + c.fn }),
  falsePositiveRate: (c) => ({ successes: c.fp, n: c.fp + c.tn }),
  /** Specificity. */
  trueNegativeRate: (c) => ({ successes: c.tn, n: c.fp + c.tn }),
  falseNegativeRate: (c) => ({ successes: c.fn, n: c.tp + c.fn }),
  accuracy: (c) => ({ successes: c.tp + c.tn, n: c.tp + c.tn + c.fp + c.fn }),
  precision: (c) => ({ successes: c.tp, n: c.tp + c.fp }),
  /** Share of positive labels (the base rate). */
  prevalence: (c) => ({ successes: c.tp + c.fn, n: c.tp + c.tn + c.fp + c.fn }),
} as const satisfies Record<string, (confusion: Confusion) => Share>;

export type RateName = keyof typeof RATES;
export const RATE_NAMES = Object.keys(RATES) as RateName[];

/** Value of a rate with its Wilson interval. NaN when nothing was counted: unknown, not 0 (Fairlearn and scikit-learn say 0). */
export interface Rate extends Share {
  readonly value: number;
  readonly interval: Interval;
}

export function rateOf(confusion: Confusion, name: RateName, confidence = 0.95): Rate {
  const share = RATES[name](confusion);
  return { ...share, value: share.successes / share.n, interval: wilsonInterval(share.successes, share.n, confidence) };
}

/** All decisions, labelled or not. */
export function decisions(c: Confusion): number {
  return c.tp + c.fp + c.tn + c.fn + c.unlabelledSelected + c.unlabelledRejected;
}
