import type { Tx } from './postgres.js';

/**
 * True the first time a consumer sees an event, false ever after (do nothing then). The row commits with the effect in the
 * same transaction, so the effect happens exactly once although the event may come many times. A concurrent claim of the same
 * event waits for the first one's outcome.
 */
export async function claim(tx: Tx, consumer: string, eventId: string): Promise<boolean> {
  return (
    (await tx.execute('INSERT INTO platform_inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING', [consumer, eventId])) === 1
  );
}

/** The same for a batch in one statement. @returns the ids that are new; an id that stands twice in the batch is new once. */
export async function claimAll(tx: Tx, consumer: string, eventIds: readonly string[]): Promise<Set<string>> {
  if (eventIds.length === 0) return new Set();
  const rows = await tx.query<{ event_id: string }>(
    'INSERT INTO platform_inbox (consumer, event_id) SELECT $1, id FROM (SELECT DISTINCT unnest($2::text[]) AS id ORDER BY id) AS ids ON CONFLICT DO NOTHING RETURNING event_id',
    [consumer, eventIds],
  );
  return new Set(rows.map((row) => row.event_id));
}

/** Longer than any topic is kept, so that a replay of a whole topic still meets its claims. */
export const INBOX_RETENTION_MS = 14 * 24 * 3_600_000;
const SWEEP_ROWS_MAX = 10_000;

/** Forgets claims older than the retention, a bounded number a call. @returns how many. */
export function forgetOldClaims(tx: Tx, retentionMs: number = INBOX_RETENTION_MS): Promise<number> {
  return tx.execute(
    `DELETE FROM platform_inbox WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM platform_inbox WHERE claimed_at < now() - $1 * interval '1 millisecond' ORDER BY claimed_at LIMIT ${SWEEP_ROWS_MAX}))`,
    [retentionMs],
  );
}
