import type { Tx } from '@headrace/platform/postgres/postgres';
import type { Mitigation } from '../domain/admission.js';
import type { RunState } from '../domain/run-state.js';

export interface RunRow {
  readonly project: string;
  readonly run_id: string;
  readonly model: string;
  readonly state: RunState;
  readonly reason: string;
  readonly request_id: string;
  readonly alert_id: string;
  readonly mitigation: Mitigation | null;
  readonly step: string;
  readonly failure_code: string;
  readonly failure: string;
  readonly version: number;
  readonly attempt: number;
  readonly metrics: Record<string, unknown> | null;
  readonly queued_at: Date;
  readonly started_at: Date | null;
  readonly finished_at: Date | null;
  readonly lease_owner: string | null;
  readonly child_host: string | null;
  readonly child_pid: number | null;
  readonly correlation_id: string;
  readonly causation_id: string;
  readonly traceparent: string;
}

export interface NewRun {
  readonly project: string;
  readonly runId: string;
  readonly model: string;
  readonly reason: string;
  readonly requestId: string;
  readonly alertId: string;
  readonly mitigation: Mitigation | undefined;
  readonly correlationId: string;
  readonly causationId: string;
  readonly traceparent: string;
}

/** Requests for one model wait for each other until commit, so that two alerts at once cannot both pass the cool-down. */
export async function lockModelQueue(tx: Tx, project: string, model: string): Promise<void> {
  await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 7030))`, [project, model]);
}

/** @returns undefined when a run of this request is there already. */
export async function insertRun(tx: Tx, r: NewRun): Promise<RunRow | undefined> {
  const [row] = await tx.query<RunRow>(
    `INSERT INTO runs (project, run_id, model, state, reason, request_id, alert_id, mitigation, correlation_id, causation_id, traceparent)
     VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (project, request_id) DO NOTHING RETURNING *`,
    [
      r.project,
      r.runId,
      r.model,
      r.reason,
      r.requestId,
      r.alertId,
      r.mitigation ? JSON.stringify(r.mitigation) : null,
      r.correlationId,
      r.causationId,
      r.traceparent,
    ],
  );
  return row;
}

export async function readRun(tx: Tx, project: string, runId: string): Promise<RunRow | undefined> {
  return (await tx.query<RunRow>('SELECT * FROM runs WHERE project = $1 AND run_id = $2', [project, runId]))[0];
}

export async function lockRun(tx: Tx, project: string, runId: string): Promise<RunRow | undefined> {
  return (await tx.query<RunRow>('SELECT * FROM runs WHERE project = $1 AND run_id = $2 FOR UPDATE', [project, runId]))[0];
}

export async function readRunByRequest(tx: Tx, project: string, requestId: string): Promise<RunRow | undefined> {
  return (await tx.query<RunRow>('SELECT * FROM runs WHERE project = $1 AND request_id = $2', [project, requestId]))[0];
}

/** Newest runs that one answer lists. */
const RUNS_MAX = 500;

export function listRuns(tx: Tx, project: string, model: string): Promise<RunRow[]> {
  return tx.query<RunRow>(
    `SELECT * FROM runs WHERE project = $1 AND ($2 = '' OR model = $2) ORDER BY queued_at DESC, run_id DESC LIMIT ${RUNS_MAX}`,
    [project, model],
  );
}

/** When the model's last run for an alert was asked for, with the clock of the database beside it. A cancelled one does not count. */
export async function lastAlertRun(tx: Tx, project: string, model: string): Promise<{ lastMs: number | undefined; nowMs: number }> {
  const [row] = await tx.query<{ last: Date | null; now: Date }>(
    `SELECT max(queued_at) AS last, now() AS now FROM runs WHERE project = $1 AND model = $2 AND reason = 'alert' AND state <> 'cancelled'`,
    [project, model],
  );
  return { lastMs: row!.last?.getTime(), nowMs: row!.now.getTime() };
}

export async function countWaiting(tx: Tx, project: string): Promise<number> {
  return (await tx.query<{ n: number }>(`SELECT count(*) AS n FROM runs WHERE project = $1 AND state = 'queued'`, [project]))[0]!.n;
}

/**
 * The oldest run whose time has come and whose model is free, locked; rows that other workers hold are passed over. Of each model only
 * the oldest is looked at: or a second worker, passing over the row that the first is just taking, would run a model's requests out of order.
 */
export async function lockNextRun(tx: Tx): Promise<RunRow | undefined> {
  const rows = await tx.query<RunRow>(
    `SELECT * FROM runs r WHERE state = 'queued' AND not_before <= now()
       AND NOT EXISTS (SELECT 1 FROM runs a WHERE a.project = r.project AND a.model = r.model AND a.state IN ('admitted', 'running'))
       AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.project = r.project AND o.model = r.model AND o.state = 'queued' AND o.not_before <= now()
         AND (o.queued_at, o.run_id) < (r.queued_at, r.run_id))
     ORDER BY queued_at, run_id LIMIT 1 FOR UPDATE SKIP LOCKED`,
  );
  return rows[0];
}

/** Runs whose worker fell silent, locked. */
export function lockExpiredRuns(tx: Tx, limit: number): Promise<RunRow[]> {
  return tx.query<RunRow>(
    `SELECT * FROM runs WHERE state IN ('admitted', 'running') AND lease_until < now() ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED`,
    [limit],
  );
}

/** What a step of the state may change besides the state. Times are given as the database's `now()` plus milliseconds. */
export interface RunChange {
  readonly state: RunState;
  readonly attempt?: number;
  readonly step?: string;
  readonly failureCode?: string;
  readonly failure?: string;
  readonly version?: number;
  readonly metrics?: Record<string, unknown>;
  /** New holder, for so long; null = nobody. Unset = as it was. */
  readonly lease?: { readonly owner: string; readonly forMs: number } | null;
  readonly notBeforeMs?: number;
  readonly started?: boolean;
  readonly finished?: boolean;
}

export async function updateRun(tx: Tx, { project, run_id: runId }: Pick<RunRow, 'project' | 'run_id'>, c: RunChange): Promise<RunRow> {
  const rows = await tx.query<RunRow>(
    `UPDATE runs SET state = $3, attempt = coalesce($4, attempt), step = coalesce($5, step), failure_code = coalesce($6, failure_code), failure = coalesce($7, failure),
       version = coalesce($8, version), metrics = coalesce($9::jsonb, metrics),
       lease_owner = CASE WHEN $10 THEN $11::text ELSE lease_owner END,
       lease_until = CASE WHEN $10 THEN now() + $12::float8 * interval '1 millisecond' ELSE lease_until END,
       not_before = CASE WHEN $13::float8 IS NULL THEN not_before ELSE now() + $13::float8 * interval '1 millisecond' END,
       started_at = CASE WHEN $14 THEN coalesce(started_at, now()) ELSE started_at END,
       finished_at = CASE WHEN $15 THEN now() ELSE finished_at END
     WHERE project = $1 AND run_id = $2 RETURNING *`,
    [
      project,
      runId,
      c.state,
      c.attempt ?? null,
      c.step ?? null,
      c.failureCode ?? null,
      c.failure ?? null,
      c.version ?? null,
      c.metrics ? JSON.stringify(c.metrics) : null,
      c.lease !== undefined,
      c.lease?.owner ?? null,
      c.lease?.forMs ?? null,
      c.notBeforeMs ?? null,
      c.started ?? false,
      c.finished ?? false,
    ],
  );
  return rows[0]!;
}

/** Whose hold on a run it is: a worker, and which of its tries. */
export interface Hold {
  readonly project: string;
  readonly runId: string;
  readonly owner: string;
  readonly attempt: number;
}

/** Lengthens the lease and notes the step. @returns false when the run is not this worker's any more. */
export async function renewLease(tx: Tx, h: Hold, leaseMs: number, step: string): Promise<boolean> {
  const held = await tx.execute(
    `UPDATE runs SET lease_until = now() + $5 * interval '1 millisecond', step = $6
     WHERE project = $1 AND run_id = $2 AND lease_owner = $3 AND attempt = $4 AND state IN ('admitted', 'running')`,
    [h.project, h.runId, h.owner, h.attempt, leaseMs, step],
  );
  return held === 1;
}

/** Right after the spawn, so that the next attempt can end a child that outlived its worker. @returns false when the run is not this worker's any more. */
export async function noteChild(tx: Tx, h: Hold, host: string, pid: number): Promise<boolean> {
  const held = await tx.execute(
    'UPDATE runs SET child_host = $5, child_pid = $6 WHERE project = $1 AND run_id = $2 AND lease_owner = $3 AND attempt = $4',
    [h.project, h.runId, h.owner, h.attempt, host, pid],
  );
  return held === 1;
}
