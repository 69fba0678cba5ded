import { assert } from '@headrace/base/assert';

/** Fires when at least `k` of the last `n` windows breached. */
export interface PersistenceRule {
  readonly k: number;
  readonly n: number;
}

/** Verdicts of the last windows, oldest first, at most n. Plain data: store it beside the alert. */
export type BreachHistory = readonly boolean[];

/**
 * k-of-n persistence (the "binary integration" of radar detection, Schwartz 1956): one odd window is not an alert, and one quiet
 * window does not end one. `suspected`: the newest window breached but the rule is not met. With a false alarm rate p a window
 * that is independent of the others fires by chance with P(Binomial(n, p) >= k): 3 of 5 at p = 0.05 gives 0.0012.
 */
export function observeWindow(
  history: BreachHistory,
  breached: boolean,
  rule: PersistenceRule,
): { history: BreachHistory; state: 'quiet' | 'suspected' | 'firing' } {
  assert(
    Number.isInteger(rule.k) && Number.isInteger(rule.n) && rule.k >= 1 && rule.k <= rule.n,
    `persistence needs whole numbers 1 <= k <= n, got ${rule.k} of ${rule.n}`,
  );
  const kept = [...history, breached].slice(-rule.n);
  const breaches = kept.filter(Boolean).length;
  return { history: kept, state: breaches >= rule.k ? 'firing' : breached ? 'suspected' : 'quiet' };
}
