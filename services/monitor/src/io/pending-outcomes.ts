import type { Tx } from '@headrace/platform/postgres/postgres';
import type { ObservedLabel } from '../domain/outcomes.js';

/** Labels that wait for their prediction. Of several the one observed last stays (domain/outcomes.ts). */
export async function keepPending(tx: Tx, project: string, labels: readonly ObservedLabel[], receivedMs: number): Promise<void> {
  await tx.execute(
    `INSERT INTO pending_outcome AS q (project, prediction_id, label, observed_ms, received_ms)
     SELECT $1, id, label, observed_ms, $5 FROM unnest($2::text[], $3::smallint[], $4::bigint[]) AS o (id, label, observed_ms) ORDER BY id
     ON CONFLICT (project, prediction_id) DO UPDATE SET label = EXCLUDED.label, observed_ms = EXCLUDED.observed_ms
     WHERE q.observed_ms < EXCLUDED.observed_ms`,
    [project, labels.map((l) => l.predictionId), labels.map((l) => l.label), labels.map((l) => l.observedMs), receivedMs],
  );
}

export async function hasPending(tx: Tx, project: string): Promise<boolean> {
  return (await tx.query('SELECT 1 FROM pending_outcome WHERE project = $1 LIMIT 1', [project])).length > 0;
}

/** Takes out the labels whose prediction is here now. */
export async function takeArrived(tx: Tx, project: string, predictionIds: readonly string[]): Promise<ObservedLabel[]> {
  const rows = await tx.query<{ prediction_id: string; label: number; observed_ms: number }>(
    `DELETE FROM pending_outcome q USING prediction p
     WHERE q.project = $1 AND q.prediction_id = ANY ($2::text[]) AND p.project = q.project AND p.prediction_id = q.prediction_id
     RETURNING q.prediction_id, q.label, q.observed_ms`,
    [project, predictionIds],
  );
  return rows.map((row) => ({ predictionId: row.prediction_id, label: row.label, observedMs: row.observed_ms }));
}

/** Counting stops here, so that the metric is never a load. */
const COUNT_MAX = 2_000_000;

export async function countPending(tx: Tx): Promise<number> {
  const [row] = await tx.query<{ n: number }>(`SELECT count(*) AS n FROM (SELECT 1 FROM pending_outcome LIMIT ${COUNT_MAX}) AS q`);
  return row!.n;
}

/** Removes a bounded number of the oldest: all received before a time, or (no time) whatever is oldest. @returns how many */
export function dropOldest(tx: Tx, limit: number, receivedBeforeMs = Number.MAX_SAFE_INTEGER): Promise<number> {
  return tx.execute(
    'DELETE FROM pending_outcome WHERE ctid = ANY (ARRAY(SELECT ctid FROM pending_outcome WHERE received_ms < $1 ORDER BY received_ms LIMIT $2))',
    [receivedBeforeMs, limit],
  );
}
