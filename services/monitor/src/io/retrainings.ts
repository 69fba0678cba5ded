import type { Tx } from '@headrace/platform/postgres/postgres';
import type { RetrainFacts } from '../domain/retrain-policy.js';

export interface Requested {
  readonly project: string;
  readonly model: string;
  readonly requestId: string;
  readonly reason: string;
  readonly requestedMs: number;
}

export async function saveRequested(tx: Tx, { project, model, requestId, reason, requestedMs }: Requested): Promise<void> {
  await tx.execute(
    'INSERT INTO retraining (project, request_id, model, reason, requested_ms) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, request_id) DO NOTHING',
    [project, requestId, model, reason, requestedMs],
  );
}

/** A run that has ended does not open again, in whatever order its events come. */
export async function saveRun(tx: Tx, request: Requested, run: { readonly runId: string; readonly open: boolean }): Promise<void> {
  await tx.execute(
    `INSERT INTO retraining AS r (project, request_id, model, reason, requested_ms, run_id, run) VALUES ($1, $2, $3, $4, $5, $6, $7)
     ON CONFLICT (project, request_id) DO UPDATE SET run_id = EXCLUDED.run_id, run = CASE WHEN r.run = 'closed' AND r.run_id = EXCLUDED.run_id THEN 'closed' ELSE EXCLUDED.run END`,
    [request.project, request.requestId, request.model, request.reason, request.requestedMs, run.runId, run.open ? 'open' : 'closed'],
  );
}

/** A request without a run is forgotten after this time (the trainer may have refused it), a run without an end after a day. */
const UNHEARD_MS = 600_000;
const UNENDED_MS = 86_400_000;

export async function retrainFacts(tx: Tx, project: string, model: string, nowMs: number): Promise<RetrainFacts> {
  const [row] = await tx.query<{ last_asked_ms: number | null; under_way: boolean | null }>(
    `SELECT max(requested_ms) FILTER (WHERE reason = 'alert') AS last_asked_ms,
            bool_or((run = '' AND requested_ms > $3) OR (run = 'open' AND requested_ms > $4)) AS under_way
     FROM retraining WHERE project = $1 AND model = $2`,
    [project, model, nowMs - UNHEARD_MS, nowMs - UNENDED_MS],
  );
  return { lastAskedMs: row?.last_asked_ms ?? undefined, underWay: row?.under_way ?? false };
}
