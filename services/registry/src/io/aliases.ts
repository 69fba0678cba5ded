import type { Tx } from '@headrace/platform/postgres/postgres';

/** 0 = nobody holds it. */
export async function readAlias(tx: Tx, project: string, model: string, alias: string): Promise<number> {
  const [row] = await tx.query<{ version: number }>('SELECT version FROM aliases WHERE project = $1 AND model = $2 AND alias = $3', [
    project,
    model,
    alias,
  ]);
  return row?.version ?? 0;
}

export interface AliasChange {
  readonly project: string;
  readonly model: string;
  readonly alias: string;
  readonly previousVersion: number;
  readonly version: number;
  readonly reason: string;
  readonly actor: string;
}

export async function writeAlias(tx: Tx, c: AliasChange): Promise<void> {
  await tx.execute(
    `INSERT INTO aliases (project, model, alias, version) VALUES ($1, $2, $3, $4)
     ON CONFLICT (project, model, alias) DO UPDATE SET version = excluded.version, set_at = now()`,
    [c.project, c.model, c.alias, c.version],
  );
  await tx.execute(
    'INSERT INTO alias_history (project, model, alias, previous_version, version, reason, actor) VALUES ($1, $2, $3, $4, $5, $6, $7)',
    [c.project, c.model, c.alias, c.previousVersion, c.version, c.reason, c.actor],
  );
}
