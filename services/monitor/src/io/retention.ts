import type { Tx } from '@headrace/platform/postgres/postgres';

/** Rows deleted by one statement: short locks, and little to do again after a crash. */
export const SWEEP_ROWS = 10_000;

/** Removes some predictions that are older; the rest in the next call. @returns how many */
export function sweepPredictions(tx: Tx, beforeMs: number): Promise<number> {
  return tx.execute(
    `DELETE FROM prediction WHERE ctid = ANY (ARRAY(SELECT ctid FROM prediction WHERE predicted_ms < $1 LIMIT ${SWEEP_ROWS}))`,
    [beforeMs],
  );
}

export function sweepPanes(tx: Tx, beforeMs: number): Promise<number> {
  return tx.execute(`DELETE FROM pane WHERE ctid = ANY (ARRAY(SELECT ctid FROM pane WHERE pane_start_ms < $1 LIMIT ${SWEEP_ROWS}))`, [
    beforeMs,
  ]);
}

export function sweepGroups(tx: Tx, beforeMs: number): Promise<number> {
  return tx.execute(
    `DELETE FROM pane_group WHERE ctid = ANY (ARRAY(SELECT ctid FROM pane_group WHERE pane_start_ms < $1 LIMIT ${SWEEP_ROWS}))`,
    [beforeMs],
  );
}

/** Batches that nobody could describe in all that time. */
export function sweepParked(tx: Tx, beforeMs: number): Promise<number> {
  return tx.execute(
    `DELETE FROM parked_batch WHERE ctid = ANY (ARRAY(SELECT ctid FROM parked_batch WHERE parked_ms < $1 LIMIT ${SWEEP_ROWS}))`,
    [beforeMs],
  );
}
