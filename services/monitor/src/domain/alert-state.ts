/** suspected -> firing -> acted -> resolved | muted. Everything but `resolved` is open: no second alert of the subject beside it. */
export const ALERT_STATES = ['suspected', 'firing', 'acted', 'resolved', 'muted'] as const;
export type AlertState = (typeof ALERT_STATES)[number];

/** persisted: k of n judgements breached. acted: a retraining was asked for. cleared: k of n are clean. muted: a person said so. */
export const ALERT_EVENTS = ['persisted', 'acted', 'cleared', 'muted'] as const;
export type AlertEvent = (typeof ALERT_EVENTS)[number];

/** The whole machine; null = the step is refused. */
export const ALERT_STEPS: Readonly<Record<AlertState, Readonly<Record<AlertEvent, AlertState | null>>>> = {
  suspected: { persisted: 'firing', acted: null, cleared: 'resolved', muted: 'muted' },
  firing: { persisted: 'firing', acted: 'acted', cleared: 'resolved', muted: 'muted' },
  acted: { persisted: 'acted', acted: null, cleared: 'resolved', muted: 'muted' },
  resolved: { persisted: null, acted: null, cleared: null, muted: null },
  muted: { persisted: 'muted', acted: null, cleared: 'resolved', muted: 'muted' },
};

export const isOpen = (state: AlertState): boolean => state !== 'resolved';
