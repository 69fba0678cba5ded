/** The life of a training run, as a complete table. `requeue`: the attempt was lost or may be repeated; `kill`: it crossed a limit. */
export const RUN_STATES = ['queued', 'admitted', 'running', 'succeeded', 'failed', 'killed', 'cancelled'] as const;
export type RunState = (typeof RUN_STATES)[number];

export const RUN_EVENTS = ['admit', 'start', 'requeue', 'succeed', 'fail', 'kill', 'cancel'] as const;
export type RunEvent = (typeof RUN_EVENTS)[number];

const no = 'illegal';
const NOWHERE = { admit: no, start: no, requeue: no, succeed: no, fail: no, kill: no, cancel: no } as const;

export const RUN_TRANSITIONS: Readonly<Record<RunState, Readonly<Record<RunEvent, RunState | 'illegal'>>>> = {
  queued: { admit: 'admitted', start: no, requeue: no, succeed: no, fail: 'failed', kill: no, cancel: 'cancelled' },
  admitted: { admit: no, start: 'running', requeue: 'queued', succeed: no, fail: 'failed', kill: no, cancel: 'cancelled' },
  running: { admit: no, start: no, requeue: 'queued', succeed: 'succeeded', fail: 'failed', kill: 'killed', cancel: 'cancelled' },
  succeeded: NOWHERE,
  failed: NOWHERE,
  killed: NOWHERE,
  cancelled: NOWHERE,
};

/** States in which a worker holds the run under a lease. */
export const ACTIVE_STATES: readonly RunState[] = ['admitted', 'running'];

export function nextRunState(state: RunState, event: RunEvent): RunState | 'illegal' {
  return RUN_TRANSITIONS[state][event];
}
