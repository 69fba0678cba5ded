import type { Tx } from '@headrace/platform/postgres/postgres';
import type { AlertKind } from '../domain/finding.js';
import type { History } from '../domain/standing.js';

export interface WatchRow {
  readonly version_id: number;
  readonly version: number;
  readonly kind: AlertKind;
  readonly subject: string;
  readonly history: History;
}

/** Every subject's past of all versions of a model. */
export function readWatches(tx: Tx, project: string, model: string): Promise<WatchRow[]> {
  return tx.query<WatchRow>(
    'SELECT w.version_id, v.version, w.kind, w.subject, w.history FROM watch w JOIN version v ON v.id = w.version_id WHERE v.project = $1 AND v.model = $2',
    [project, model],
  );
}

export async function saveWatches(
  tx: Tx,
  project: string,
  versionId: number,
  rows: readonly Pick<WatchRow, 'kind' | 'subject' | 'history'>[],
): Promise<void> {
  if (rows.length === 0) return;
  await tx.execute(
    `INSERT INTO watch (version_id, project, kind, subject, history) SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[])
     ON CONFLICT (version_id, kind, subject) DO UPDATE SET history = EXCLUDED.history`,
    [versionId, project, rows.map((r) => r.kind), rows.map((r) => r.subject), rows.map((r) => r.history)],
  );
}
