import { ALERT_STEPS, type AlertState } from './alert-state.js';
import type { Verdict } from './finding.js';
import type { Standing } from './standing.js';

/** Which versions take the traffic, as far as is known; 0 = nobody said. */
export interface Traffic {
  readonly champion: number;
  readonly serving: number;
}

export interface OpenAlert {
  readonly version: number;
  readonly state: AlertState;
}

/** What one version's judgement means for the subject's alert. */
export interface Judged {
  readonly version: number;
  /** Of the newest judgement; undefined when nothing new was seen and only the standing is looked at again. */
  readonly verdict: Verdict | undefined;
  readonly standing: Standing;
}

export type AlertStep =
  | { readonly kind: 'none' }
  /** A new alert, in the state where it begins. */
  | { readonly kind: 'raise'; readonly state: 'suspected' | 'firing' }
  /** `refresh`: take over the numbers of this judgement. */
  | { readonly kind: 'change'; readonly state: AlertState; readonly refresh: boolean };

const NONE: AlertStep = { kind: 'none' };

/**
 * A version that a later one has replaced raises nothing: its old data may be judged long after, when late labels come, and
 * would report what was mended already. Champion, serving and whatever is newer than both (canary, shadow) may.
 */
export function mayRaise(version: number, { champion, serving }: Traffic): boolean {
  return version === champion || version === serving || version > Math.max(champion, serving);
}

/** Only a version that takes traffic now may end an alert about an older one. */
export function takesTraffic(version: number, { champion, serving }: Traffic): boolean {
  return version === champion || version === serving;
}

/** Pure and total: the alert of a subject after one version was judged. */
export function planAlert(open: OpenAlert | undefined, judged: Judged, traffic: Traffic): AlertStep {
  if (!open) {
    if (judged.verdict !== 'breach' || !mayRaise(judged.version, traffic)) return NONE;
    return { kind: 'raise', state: judged.standing === 'persisted' ? 'firing' : 'suspected' };
  }
  if (judged.version < open.version) return NONE;
  const newer = judged.version > open.version;
  if (judged.standing === 'cleared' && (!newer || takesTraffic(judged.version, traffic))) return step(open, 'cleared', false);
  // A breach that goes on keeps an open alert as it is; a suspicion grows, also by a newer version's breach.
  if (judged.verdict !== 'breach' || open.state !== 'suspected' || (newer && !mayRaise(judged.version, traffic))) return NONE;
  return judged.standing === 'persisted' ? step(open, 'persisted', true) : { kind: 'change', state: 'suspected', refresh: true };
}

function step(open: OpenAlert, event: 'cleared' | 'persisted', refresh: boolean): AlertStep {
  const state = ALERT_STEPS[open.state][event];
  return state === null || (state === open.state && !refresh) ? NONE : { kind: 'change', state, refresh };
}
