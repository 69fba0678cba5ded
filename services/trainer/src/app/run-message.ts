import { RunState as WireState, type Run } from '@headrace/contracts/training/v1/training';
import type { RunState } from '../domain/run-state.js';
import type { RunRow } from '../io/runs.js';

const STATE: Readonly<Record<RunState, WireState>> = {
  queued: WireState.QUEUED,
  admitted: WireState.ADMITTED,
  running: WireState.RUNNING,
  succeeded: WireState.SUCCEEDED,
  failed: WireState.FAILED,
  killed: WireState.KILLED,
  cancelled: WireState.CANCELLED,
};

/** The run as every door and every event shows it. `failure` opens with its code. */
export function toRun(row: RunRow): Run {
  return {
    project: row.project,
    runId: row.run_id,
    model: row.model,
    state: STATE[row.state],
    reason: row.reason,
    requestId: row.request_id,
    alertId: row.alert_id,
    mitigation: row.mitigation ?? undefined,
    step: row.step,
    failure: row.failure_code ? `${row.failure_code}: ${row.failure}` : row.failure,
    version: row.version,
    attempt: row.attempt,
    metrics: row.metrics ?? undefined,
    queuedAt: row.queued_at,
    startedAt: row.started_at ?? undefined,
    finishedAt: row.finished_at ?? undefined,
  };
}
