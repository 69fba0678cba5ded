import type { Spec } from '@headrace/definitions/definition';
import type { Tx } from '@headrace/platform/postgres/postgres';

export type ModelSpec = Spec<'Model'>;

export interface ModelRow {
  readonly project: string;
  readonly model: string;
  readonly definition_version: number;
  readonly spec: ModelSpec;
  readonly champion_version: number;
  readonly serving_version: number;
}

const COLUMNS = 'project, model, definition_version, spec, champion_version, serving_version';

export async function readModel(tx: Tx, project: string, model: string): Promise<ModelRow | undefined> {
  return (await tx.query<ModelRow>(`SELECT ${COLUMNS} FROM model WHERE project = $1 AND model = $2`, [project, model]))[0];
}

/** Judgements and alerts of one model happen one at a time, whatever the number of processes. */
export async function lockModel(tx: Tx, project: string, model: string): Promise<ModelRow | undefined> {
  return (await tx.query<ModelRow>(`SELECT ${COLUMNS} FROM model WHERE project = $1 AND model = $2 FOR UPDATE`, [project, model]))[0];
}

export async function saveModel(tx: Tx, row: Omit<ModelRow, 'serving_version'>, nowMs: number): Promise<void> {
  await tx.execute(
    `INSERT INTO model (project, model, definition_version, spec, champion_version, refreshed_ms) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (project, model) DO UPDATE SET definition_version = EXCLUDED.definition_version, spec = EXCLUDED.spec, champion_version = EXCLUDED.champion_version, refreshed_ms = EXCLUDED.refreshed_ms`,
    [row.project, row.model, row.definition_version, JSON.stringify(row.spec), row.champion_version, nowMs],
  );
}

export function saveServing(tx: Tx, project: string, model: string, version: number): Promise<number> {
  return tx.execute('UPDATE model SET serving_version = $3 WHERE project = $1 AND model = $2', [project, model, version]);
}
