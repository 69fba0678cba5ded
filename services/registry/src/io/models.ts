import type { Postgres, Tx } from '@headrace/platform/postgres/postgres';

export interface ModelRow {
  readonly project: string;
  readonly name: string;
  readonly definition_version: number;
  readonly content_hash: string;
  readonly spec: Record<string, unknown>;
  /** alias -> version */
  readonly aliases: Record<string, number>;
}

/** Holds the model's lock until the transaction ends; makes the row when it is new. @returns the definition in force, or undefined. */
export async function lockOrCreateModel(
  tx: Tx,
  project: string,
  name: string,
): Promise<{ version: number; contentHash: string; spec: object } | undefined> {
  await tx.execute('INSERT INTO models (project, name, definition_version) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING', [project, name]);
  await tx.query('SELECT 1 FROM models WHERE project = $1 AND name = $2 FOR UPDATE', [project, name]);
  const [row] = await tx.query<{ version: number; content_hash: string; spec: object }>(
    `SELECT d.version, d.content_hash, d.spec FROM model_definitions d JOIN models m ON m.project = d.project AND m.name = d.model AND m.definition_version = d.version
     WHERE d.project = $1 AND d.model = $2`,
    [project, name],
  );
  return row && { version: row.version, contentHash: row.content_hash, spec: row.spec };
}

/** Serialises all that changes a model's versions and aliases. @returns false when there is no such model. */
export async function lockModel(tx: Tx, project: string, name: string): Promise<boolean> {
  return (await tx.query('SELECT 1 FROM models WHERE project = $1 AND name = $2 FOR UPDATE', [project, name])).length === 1;
}

export async function insertDefinition(
  tx: Tx,
  d: { project: string; model: string; version: number; contentHash: string; spec: unknown },
): Promise<void> {
  await tx.execute('INSERT INTO model_definitions (project, model, version, content_hash, spec) VALUES ($1, $2, $3, $4, $5)', [
    d.project,
    d.model,
    d.version,
    d.contentHash,
    JSON.stringify(d.spec),
  ]);
  await tx.execute('UPDATE models SET definition_version = $3 WHERE project = $1 AND name = $2', [d.project, d.model, d.version]);
}

const SELECT_MODEL = `SELECT m.project, m.name, m.definition_version, d.content_hash, d.spec,
    coalesce((SELECT jsonb_object_agg(a.alias, a.version) FROM aliases a WHERE a.project = m.project AND a.model = m.name), '{}') AS aliases
  FROM models m JOIN model_definitions d ON d.project = m.project AND d.model = m.name AND d.version = m.definition_version`;

export async function readModel(tx: Tx, project: string, name: string): Promise<ModelRow | undefined> {
  return (await tx.query<ModelRow>(`${SELECT_MODEL} WHERE m.project = $1 AND m.name = $2`, [project, name]))[0];
}

/** Most models that one answer lists. */
const MODELS_MAX = 10_000;

export function listModels(postgres: Postgres, project: string): Promise<ModelRow[]> {
  return postgres.query<ModelRow>(`${SELECT_MODEL} WHERE m.project = $1 ORDER BY m.name LIMIT ${MODELS_MAX}`, [project]);
}
