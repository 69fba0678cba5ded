import type { Tx } from '@headrace/platform/postgres/postgres';
import type { GateVerdict, Judgement } from '../domain/blessing-rules.js';
import type { VersionState } from '../domain/version-state.js';

type Json = Record<string, unknown>;

export interface VersionRow {
  readonly project: string;
  readonly model: string;
  readonly version: number;
  readonly state: VersionState;
  readonly run_id: string;
  readonly artifact_sha256: string;
  readonly signature: Json;
  readonly evaluation: Json;
  readonly baseline: Json;
  readonly golden: Json;
  readonly lineage: Json;
  readonly created_at: Date;
  /** null as long as the version is not judged. */
  readonly blessed: boolean | null;
  /** A value or threshold that was not measured is null: JSON has no NaN. */
  readonly gates: readonly (Omit<GateVerdict, 'value' | 'threshold'> & { value: number | null; threshold: number | null })[] | null;
  readonly champion_version: number | null;
  readonly judged_at: Date | null;
  readonly aliases: readonly string[];
}

export interface NewVersion {
  readonly project: string;
  readonly model: string;
  readonly runId: string;
  readonly artifactSha256: string;
  readonly signature: unknown;
  readonly evaluation: unknown;
  readonly baseline: unknown;
  readonly golden: unknown;
  readonly lineage: unknown;
}

/** The next number of the model, in state `registered`. The caller holds the model's lock. */
export async function insertVersion(tx: Tx, v: NewVersion): Promise<number> {
  const [next] = await tx.query<{ version: number }>(
    'UPDATE models SET last_version = last_version + 1 WHERE project = $1 AND name = $2 RETURNING last_version AS version',
    [v.project, v.model],
  );
  const version = next!.version;
  await tx.execute(
    `INSERT INTO versions (project, model, version, state, run_id, artifact_sha256, signature, evaluation, baseline, golden, lineage)
     VALUES ($1, $2, $3, 'registered', $4, $5, $6, $7, $8, $9, $10)`,
    [
      v.project,
      v.model,
      version,
      v.runId,
      v.artifactSha256,
      ...[v.signature, v.evaluation, v.baseline, v.golden, v.lineage].map((document) => JSON.stringify(document)),
    ],
  );
  return version;
}

const SELECT_VERSION = `SELECT v.*, b.blessed, b.gates, b.champion_version, b.judged_at,
    ARRAY(SELECT a.alias FROM aliases a WHERE a.project = v.project AND a.model = v.model AND a.version = v.version ORDER BY a.alias) AS aliases
  FROM versions v LEFT JOIN blessings b ON b.project = v.project AND b.model = v.model AND b.version = v.version`;

export async function readVersion(tx: Tx, project: string, model: string, version: number): Promise<VersionRow | undefined> {
  return (
    await tx.query<VersionRow>(`${SELECT_VERSION} WHERE v.project = $1 AND v.model = $2 AND v.version = $3`, [project, model, version])
  )[0];
}

export async function readVersionByRun(tx: Tx, project: string, runId: string): Promise<VersionRow | undefined> {
  return (await tx.query<VersionRow>(`${SELECT_VERSION} WHERE v.project = $1 AND v.run_id = $2`, [project, runId]))[0];
}

export async function readVersionByAlias(tx: Tx, project: string, model: string, alias: string): Promise<VersionRow | undefined> {
  const sql = `${SELECT_VERSION} JOIN aliases held ON held.project = v.project AND held.model = v.model AND held.version = v.version
    WHERE v.project = $1 AND v.model = $2 AND held.alias = $3`;
  return (await tx.query<VersionRow>(sql, [project, model, alias]))[0];
}

/** Newest versions that one answer lists; golden rows and baselines make them heavy. */
const VERSIONS_MAX = 200;

export function listVersions(tx: Tx, project: string, model: string): Promise<VersionRow[]> {
  return tx.query<VersionRow>(`${SELECT_VERSION} WHERE v.project = $1 AND v.model = $2 ORDER BY v.version DESC LIMIT ${VERSIONS_MAX}`, [
    project,
    model,
  ]);
}

/** @returns false when the version was not in the state `from` any more. */
export async function updateState(
  tx: Tx,
  at: { project: string; model: string; version: number },
  from: VersionState,
  to: VersionState,
): Promise<boolean> {
  const changed = await tx.execute('UPDATE versions SET state = $5 WHERE project = $1 AND model = $2 AND version = $3 AND state = $4', [
    at.project,
    at.model,
    at.version,
    from,
    to,
  ]);
  return changed === 1;
}

export async function insertBlessing(tx: Tx, at: { project: string; model: string; version: number }, judgement: Judgement): Promise<void> {
  await tx.execute('INSERT INTO blessings (project, model, version, blessed, gates, champion_version) VALUES ($1, $2, $3, $4, $5, $6)', [
    at.project,
    at.model,
    at.version,
    judgement.blessed,
    JSON.stringify(judgement.gates),
    judgement.championVersion,
  ]);
}
