import type { FrameRequest } from './frame-plan.js';

/** Life of a point-in-time join. */
export type JoinState = 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
export type JoinEvent = 'claim' | 'release' | 'succeed' | 'fail' | 'cancel' | 'restart';

/** What follows, or undefined when the event is refused in that state. */
export const JOIN_TRANSITIONS: Readonly<Record<JoinState, Readonly<Record<JoinEvent, JoinState | undefined>>>> = {
  queued: { claim: 'running', release: undefined, succeed: undefined, fail: undefined, cancel: 'cancelled', restart: undefined },
  // Claimed again when its process died; released when its process stops in good order.
  running: { claim: 'running', release: 'queued', succeed: 'succeeded', fail: 'failed', cancel: 'cancelled', restart: undefined },
  succeeded: { claim: undefined, release: undefined, succeed: undefined, fail: undefined, cancel: undefined, restart: undefined },
  failed: { claim: undefined, release: undefined, succeed: undefined, fail: undefined, cancel: undefined, restart: 'queued' },
  cancelled: { claim: undefined, release: undefined, succeed: undefined, fail: undefined, cancel: undefined, restart: 'queued' },
};

/** A join that took its process down this often is failed, not tried for ever. */
export const JOIN_ATTEMPTS_MAX = 3;

export interface JoinRecord {
  readonly id: string;
  readonly project: string;
  readonly state: JoinState;
  readonly request: FrameRequest;
  readonly frame: string;
  readonly rows: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
  readonly trainingSet: string;
  readonly errorCode: string;
  readonly error: string;
  readonly attempts: number;
  readonly createdAt: Date;
  readonly finishedAt: Date | undefined;
}

export interface JoinProgress {
  readonly rows: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
}
