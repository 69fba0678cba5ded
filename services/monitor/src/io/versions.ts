import type { Tx } from '@headrace/platform/postgres/postgres';

export interface VersionRow {
  readonly id: number;
  readonly project: string;
  readonly model: string;
  readonly version: number;
  readonly attributes: readonly string[];
  readonly baseline: Readonly<Record<string, unknown>>;
}

const COLUMNS = 'id, project, model, version, attributes, baseline';

export async function readVersion(tx: Tx, project: string, model: string, version: number): Promise<VersionRow | undefined> {
  return (
    await tx.query<VersionRow>(`SELECT ${COLUMNS} FROM version WHERE project = $1 AND model = $2 AND version = $3`, [
      project,
      model,
      version,
    ])
  )[0];
}

export async function readVersionById(tx: Tx, id: number): Promise<VersionRow | undefined> {
  return (await tx.query<VersionRow>(`SELECT ${COLUMNS} FROM version WHERE id = $1`, [id]))[0];
}

/** Newest first. */
export function versionsOf(tx: Tx, project: string, model: string): Promise<Pick<VersionRow, 'id' | 'version'>[]> {
  return tx.query('SELECT id, version FROM version WHERE project = $1 AND model = $2 ORDER BY version DESC', [project, model]);
}

/** A version never changes: whoever comes second finds it. */
export async function saveVersion(tx: Tx, row: Omit<VersionRow, 'id'>): Promise<VersionRow> {
  await tx.execute(
    'INSERT INTO version (project, model, version, attributes, baseline) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, model, version) DO NOTHING',
    [row.project, row.model, row.version, row.attributes, JSON.stringify(row.baseline)],
  );
  return (await readVersion(tx, row.project, row.model, row.version))!;
}

/** What the last judgement saw. */
export interface Markers {
  readonly traffic_marker: string;
  readonly labelled_marker: string;
}

export async function readMarkers(tx: Tx, versionId: number): Promise<Markers> {
  return (await tx.query<Markers & object>('SELECT traffic_marker, labelled_marker FROM version WHERE id = $1', [versionId]))[0]!;
}

export async function saveMarkers(tx: Tx, versionId: number, markers: Markers): Promise<void> {
  await tx.execute('UPDATE version SET traffic_marker = $2, labelled_marker = $3 WHERE id = $1', [
    versionId,
    markers.traffic_marker,
    markers.labelled_marker,
  ]);
}

/** Versions with panes since a time: what a judgement may have been missed of. */
export async function recentVersionIds(tx: Tx, sinceMs: number): Promise<number[]> {
  return (await tx.query<{ id: number }>('SELECT DISTINCT version_id AS id FROM pane WHERE pane_start_ms >= $1', [sinceMs])).map(
    (row) => row.id,
  );
}
