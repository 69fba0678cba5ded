import type { Confusion } from '@headrace/stats/confusion';
import { rateOf } from '@headrace/stats/confusion';
import { two, type Finding, type Verdict } from './finding.js';
import type { Span } from './windows.js';

export const ACCURACY = 'accuracy';

/** Accuracy over the labelled rows of a window against its floor. Breach: also the upper end of its interval (Wilson, 95 %) lies below. */
export function judgeAccuracy(overall: Confusion, floor: number, minSamples: number, version: number, span: Span): Finding {
  const { value, n, interval } = rateOf(overall, 'accuracy');
  const verdict: Verdict = n < minSamples ? 'insufficient' : value >= floor ? 'clean' : interval.high < floor ? 'breach' : 'unclear';
  return {
    kind: 'performance',
    subject: ACCURACY,
    metric: ACCURACY,
    value,
    threshold: floor,
    samples: n,
    verdict,
    sentence: `Accuracy of version ${version} is ${two(value)} (95 % interval ${two(interval.low)}..${two(interval.high)}), floor ${two(floor)}, over ${n} labelled predictions`,
    groups: new Map(),
    evidence: undefined,
    span,
  };
}
