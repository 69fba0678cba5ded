import type { Confusion } from '@headrace/stats/confusion';
import type { Span } from './windows.js';

export type AlertKind = 'drift' | 'bias' | 'performance';

/** What one judgement says of one subject. `unclear`: over the limit, but not beyond chance. */
export type Verdict = 'breach' | 'clean' | 'unclear' | 'insufficient';

/** Which predictions show the breach best. */
export interface Evidence {
  readonly attribute: string;
  readonly group: string;
  /** Answer given. */
  readonly selected: boolean;
  /** Label that came; undefined = any or none. */
  readonly label: boolean | undefined;
}

/** One judged subject: a column, a protected attribute, or the accuracy. */
export interface Finding {
  readonly kind: AlertKind;
  readonly subject: string;
  readonly metric: string;
  readonly value: number;
  readonly threshold: number;
  readonly samples: number;
  readonly verdict: Verdict;
  /** One plain sentence with the numbers in it. */
  readonly sentence: string;
  readonly groups: ReadonlyMap<string, Confusion>;
  readonly evidence: Evidence | undefined;
  readonly span: Span;
}

export const two = (x: number): string => x.toFixed(2);
