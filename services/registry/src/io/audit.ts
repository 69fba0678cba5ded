import type { Tx } from '@headrace/platform/postgres/postgres';

export interface AuditEntry {
  readonly project: string;
  readonly actor: string;
  /** Verb-noun: `set-alias`. */
  readonly action: string;
  /** `employment`, or `employment/3`. */
  readonly subject: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** In the transaction of the change itself: no change without its entry, no entry without its change. */
export async function writeAudit(tx: Tx, { project, actor, action, subject, before, after }: AuditEntry): Promise<void> {
  await tx.execute('INSERT INTO audit (project, actor, action, subject, before, after) VALUES ($1, $2, $3, $4, $5, $6)', [
    project,
    actor,
    action,
    subject,
    before === undefined ? null : JSON.stringify(before),
    after === undefined ? null : JSON.stringify(after),
  ]);
}
