/**
 * The life of one version in one process, as a complete table: a step that is not in the table is a defect of ours, and
 * throws. `standby` = verified and warm, but no request is routed to it yet.
 */
export type LoadState = 'pending' | 'loading' | 'standby' | 'loaded' | 'draining' | 'unloaded' | 'failed';

export type LoadEvent =
  /** The artefact is being fetched, verified and opened. */
  | 'start'
  /** Golden rows agree and the session is warm. */
  | 'verified'
  /** The routing table names it. */
  | 'routed'
  /** The routing table no longer names it; pinned requests still run. */
  | 'retired'
  /** The last request that pinned it has its answer. */
  | 'drained'
  | 'failed';

export const LOAD_STATES: Record<LoadState, Record<LoadEvent, LoadState | null>> = {
  pending: { start: 'loading', verified: null, routed: null, retired: 'unloaded', drained: null, failed: 'failed' },
  loading: { start: null, verified: 'standby', routed: null, retired: null, drained: null, failed: 'failed' },
  standby: { start: null, verified: null, routed: 'loaded', retired: 'draining', drained: null, failed: 'failed' },
  loaded: { start: null, verified: null, routed: null, retired: 'draining', drained: null, failed: null },
  draining: { start: null, verified: null, routed: null, retired: null, drained: 'unloaded', failed: null },
  unloaded: { start: null, verified: null, routed: null, retired: null, drained: null, failed: null },
  failed: { start: 'loading', verified: null, routed: null, retired: 'unloaded', drained: null, failed: null },
};

/** @throws Error when the table forbids the step. */
export function stepLoad(state: LoadState, event: LoadEvent): LoadState {
  const next = LOAD_STATES[state][event];
  if (next === null) throw new Error(`a ${state} version cannot take the step ${event}`);
  return next;
}
