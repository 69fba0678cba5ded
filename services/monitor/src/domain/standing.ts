import { observeWindow, type PersistenceRule } from '@headrace/stats/persistence';
import type { Verdict } from './finding.js';

/** Verdicts of the last judgements that had enough data and saw something new, oldest first: b(reach), c(lean), u(nclear). */
export type History = string;

const LETTER: Readonly<Record<Exclude<Verdict, 'insufficient'>, string>> = { breach: 'b', clean: 'c', unclear: 'u' };

/** Where a subject stands after its last n judgements. */
export type Standing = 'persisted' | 'cleared' | 'open';

export function remember(history: History, verdict: Verdict, rule: PersistenceRule): History {
  return verdict === 'insufficient' ? history : (history + LETTER[verdict]).slice(-rule.n);
}

/**
 * `persisted`: at least k of the last n breached. `cleared`: the newest is clean, and at least k of the last n are. k-of-n on both
 * sides, so that one odd window neither starts nor ends an alert.
 */
export function standingOf(history: History, rule: PersistenceRule): Standing {
  if (atLeastK(history, 'b', rule)) return 'persisted';
  return history.endsWith('c') && atLeastK(history, 'c', rule) ? 'cleared' : 'open';
}

function atLeastK(history: History, letter: string, rule: PersistenceRule): boolean {
  if (history === '') return false;
  const flags = [...history].map((verdict) => verdict === letter);
  return observeWindow(flags.slice(0, -1), flags.at(-1)!, rule).state === 'firing';
}
