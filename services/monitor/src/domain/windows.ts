/** Half-open stretch of event time, ms since the epoch. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface WindowPolicy {
  /** Length of one pane, ms. */
  readonly pane: number;
  readonly panesPerWindow: number;
}

/** Panes tumble: each moment belongs to exactly one, aligned to the epoch, so that any process computes the same one. */
export function paneStartOf(atMs: number, { pane }: Pick<WindowPolicy, 'pane'>): number {
  const lengthMs = Math.max(1, pane);
  return Math.floor(atMs / lengthMs) * lengthMs;
}

/**
 * The window of judgement whose newest pane begins at `paneStartMs`. Traffic is judged up to the newest pane with predictions, labels up
 * to the newest pane with labels: labels that come a week late still fill whole windows.
 */
export function windowEndingWith(paneStartMs: number, { pane, panesPerWindow }: WindowPolicy): Span {
  const lengthMs = Math.max(1, pane);
  return { fromMs: paneStartMs - (panesPerWindow - 1) * lengthMs, toMs: paneStartMs + lengthMs };
}

/** Clocks of serving and monitor may differ by so much; what lies further ahead would drag every window after it. */
export const FUTURE_SKEW_MS = 300_000;
