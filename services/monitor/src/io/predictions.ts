import type { Tx } from '@headrace/platform/postgres/postgres';
import type { Evidence } from '../domain/finding.js';
import type { ObservedLabel } from '../domain/outcomes.js';
import type { Span } from '../domain/windows.js';

/** Columns of equal length: how rows travel to Postgres in one statement. */
export interface PredictionColumns {
  readonly ids: readonly string[];
  readonly paneStartMs: readonly number[];
  readonly predictedMs: readonly number[];
  readonly scores: readonly number[];
  readonly selected: readonly boolean[];
  readonly groups: readonly string[];
  readonly entities: readonly string[];
}

/**
 * Rows whose id is new; the others were counted before. @returns undefined when all were new (the usual case, and nothing travels
 * back), else the ids that were.
 */
export async function insertPredictions(
  tx: Tx,
  project: string,
  versionId: number,
  rows: PredictionColumns,
): Promise<ReadonlySet<string> | undefined> {
  const [row] = await tx.query<{ inserted: number; ids: string[] | null }>(
    `WITH inserted AS (
       INSERT INTO prediction (project, version_id, prediction_id, pane_start_ms, predicted_ms, score, selected, groups, entity)
       SELECT $1, $2, * FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::real[], $7::boolean[], $8::text[], $9::text[])
       ON CONFLICT (project, prediction_id) DO NOTHING
       RETURNING prediction_id)
     SELECT count(*) AS inserted, CASE WHEN count(*) < $10 THEN array_agg(prediction_id) END AS ids FROM inserted`,
    [
      project,
      versionId,
      rows.ids,
      rows.paneStartMs,
      rows.predictedMs,
      rows.scores,
      rows.selected,
      rows.groups,
      rows.entities,
      rows.ids.length,
    ],
  );
  return row!.inserted === rows.ids.length ? undefined : new Set(row!.ids ?? []);
}

/** Predictions that changed alike. */
export interface Relabelled {
  readonly version_id: number;
  readonly pane_start_ms: number;
  readonly selected: boolean;
  readonly groups: string;
  readonly label: number;
  /** null: it had none. */
  readonly old_label: number | null;
  readonly n: number;
}

/** First labels, counted by pane, answer, groups and label, so that a few rows travel back whatever the number of labels. */
export function labelUnlabelled(tx: Tx, project: string, labels: readonly ObservedLabel[]): Promise<Relabelled[]> {
  return tx.query<Relabelled>(
    `WITH o AS (SELECT * FROM unnest($2::text[], $3::smallint[], $4::bigint[]) AS o (prediction_id, label, observed_ms)),
     labelled AS (
       UPDATE prediction p SET label = o.label, label_observed_ms = o.observed_ms FROM o
       WHERE p.project = $1 AND p.prediction_id = o.prediction_id AND p.label IS NULL
       RETURNING p.version_id, p.pane_start_ms, p.selected, p.groups, p.label)
     SELECT version_id, pane_start_ms, selected, groups, label, NULL AS old_label, count(*) AS n FROM labelled GROUP BY 1, 2, 3, 4, 5`,
    [project, ...columnsOf(labels)],
  );
}

/** Ids out of these labels that no prediction has. */
export async function unknownPredictions(tx: Tx, project: string, labels: readonly ObservedLabel[]): Promise<ReadonlySet<string>> {
  const rows = await tx.query<{ id: string }>(
    'SELECT o.id FROM unnest($2::text[]) AS o (id) WHERE NOT EXISTS (SELECT FROM prediction p WHERE p.project = $1 AND p.prediction_id = o.id)',
    [project, labels.map((label) => label.predictionId)],
  );
  return new Set(rows.map((row) => row.id));
}

export interface Labelled {
  readonly prediction_id: string;
  readonly label: number;
  readonly label_observed_ms: number;
}

/** Predictions that have a label different from the one given; locked, so that the decision about them holds. */
export function conflicting(tx: Tx, project: string, labels: readonly ObservedLabel[]): Promise<Labelled[]> {
  return tx.query<Labelled>(
    `SELECT p.prediction_id, p.label, p.label_observed_ms FROM prediction p
     JOIN unnest($2::text[], $3::smallint[], $4::bigint[]) AS o (prediction_id, label, observed_ms) ON o.prediction_id = p.prediction_id
     WHERE p.project = $1 AND p.label <> o.label FOR UPDATE OF p`,
    [project, ...columnsOf(labels)],
  );
}

/** Equal labels that were observed again later: the later time is what a different label has to beat. */
export function confirmLabels(tx: Tx, project: string, labels: readonly ObservedLabel[]): Promise<number> {
  return tx.execute(
    `UPDATE prediction p SET label_observed_ms = o.observed_ms FROM unnest($2::text[], $3::smallint[], $4::bigint[]) AS o (prediction_id, label, observed_ms)
     WHERE p.project = $1 AND p.prediction_id = o.prediction_id AND p.label = o.label AND p.label_observed_ms < o.observed_ms`,
    [project, ...columnsOf(labels)],
  );
}

/** Puts corrected labels in place of old ones that the caller has locked and read. */
export function correctLabels(
  tx: Tx,
  project: string,
  corrections: readonly (ObservedLabel & { readonly oldLabel: number })[],
): Promise<Relabelled[]> {
  return tx.query<Relabelled>(
    `UPDATE prediction p SET label = o.label, label_observed_ms = o.observed_ms
     FROM unnest($2::text[], $3::smallint[], $4::bigint[], $5::smallint[]) AS o (prediction_id, label, observed_ms, old_label)
     WHERE p.project = $1 AND p.prediction_id = o.prediction_id
     RETURNING p.version_id, p.pane_start_ms, p.selected, p.groups, p.label, o.old_label, 1 AS n`,
    [project, ...columnsOf(corrections), corrections.map((c) => c.oldLabel)],
  );
}

/** Ids of a few predictions that show a breach; the newest first. */
export async function examplesOf(
  tx: Tx,
  query: {
    readonly versionId: number;
    readonly attributeAt: number;
    /** The positive label, or the least one of a regression. */
    readonly positive: number;
    readonly isRegression: boolean;
    readonly span: Span;
    readonly limit: number;
  },
  evidence: Evidence,
): Promise<string[]> {
  const rows = await tx.query<{ prediction_id: string }>(
    `SELECT prediction_id FROM prediction
     WHERE version_id = $1 AND predicted_ms >= $2 AND predicted_ms < $3 AND selected = $4
       AND split_part(groups, E'\\x1f', $5) = $6 AND ($7::boolean IS NULL OR (label IS NOT NULL AND (CASE WHEN $10::boolean THEN label >= $8::float8 ELSE label = $8::float8 END) = $7))
     ORDER BY predicted_ms DESC, prediction_id LIMIT $9`,
    [
      query.versionId,
      query.span.fromMs,
      query.span.toMs,
      evidence.selected,
      query.attributeAt + 1,
      evidence.group,
      evidence.label ?? null,
      query.positive,
      query.limit,
      query.isRegression,
    ],
  );
  return rows.map((row) => row.prediction_id);
}

function columnsOf(labels: readonly ObservedLabel[]): [string[], number[], number[]] {
  return [labels.map((l) => l.predictionId), labels.map((l) => l.label), labels.map((l) => l.observedMs)];
}
