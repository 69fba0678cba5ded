import type { Confusion } from '@headrace/stats/confusion';
import type { Tx } from '@headrace/platform/postgres/postgres';
import type { AlertState } from '../domain/alert-state.js';
import type { AlertKind } from '../domain/finding.js';

export interface AlertRow {
  readonly project: string;
  readonly alert_id: string;
  readonly model: string;
  readonly version: number;
  readonly kind: AlertKind;
  readonly subject: string;
  readonly state: AlertState;
  readonly metric: string;
  readonly value: number;
  readonly threshold: number;
  readonly samples: number;
  readonly sentence: string;
  /** [group value, counts] */
  readonly groups: readonly (readonly [string, Confusion])[];
  readonly examples: readonly string[];
  readonly request_id: string;
  readonly event_id: string;
  readonly raised_ms: number;
  readonly changed_ms: number;
}

const COLUMNS =
  'project, alert_id, model, version, kind, subject, state, metric, value, threshold, samples, sentence, groups, examples, request_id, event_id, raised_ms, changed_ms';
const LIST_MAX = 500;

/** Newest first. @param model '' = all models of the project */
export function listAlerts(tx: Tx, project: string, model: string): Promise<AlertRow[]> {
  return tx.query<AlertRow>(
    `SELECT ${COLUMNS} FROM alert WHERE project = $1 AND ($2 = '' OR model = $2) ORDER BY raised_ms DESC, alert_id DESC LIMIT ${LIST_MAX}`,
    [project, model],
  );
}

export async function readAlert(tx: Tx, project: string, alertId: string): Promise<AlertRow | undefined> {
  return (await tx.query<AlertRow>(`SELECT ${COLUMNS} FROM alert WHERE project = $1 AND alert_id = $2`, [project, alertId]))[0];
}

export function openAlerts(tx: Tx, project: string, model: string): Promise<AlertRow[]> {
  return tx.query<AlertRow>(`SELECT ${COLUMNS} FROM alert WHERE project = $1 AND model = $2 AND state <> 'resolved' ORDER BY raised_ms`, [
    project,
    model,
  ]);
}

/** Models with an alert that still waits for something. */
export function modelsWithOpenAlerts(tx: Tx): Promise<{ project: string; model: string }[]> {
  return tx.query(`SELECT DISTINCT project, model FROM alert WHERE state <> 'resolved'`);
}

export function countAlerts(tx: Tx): Promise<{ kind: string; state: string; n: number }[]> {
  return tx.query('SELECT kind, state, count(*) AS n FROM alert GROUP BY 1, 2');
}

export async function saveAlert(tx: Tx, row: AlertRow): Promise<void> {
  await tx.execute(
    `INSERT INTO alert (${COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
     ON CONFLICT (project, alert_id) DO UPDATE SET version = EXCLUDED.version, state = EXCLUDED.state, metric = EXCLUDED.metric, value = EXCLUDED.value, threshold = EXCLUDED.threshold,
       samples = EXCLUDED.samples, sentence = EXCLUDED.sentence, groups = EXCLUDED.groups, examples = EXCLUDED.examples, request_id = EXCLUDED.request_id, event_id = EXCLUDED.event_id, changed_ms = EXCLUDED.changed_ms`,
    [
      row.project,
      row.alert_id,
      row.model,
      row.version,
      row.kind,
      row.subject,
      row.state,
      row.metric,
      row.value,
      row.threshold,
      row.samples,
      row.sentence,
      JSON.stringify(row.groups),
      row.examples,
      row.request_id,
      row.event_id,
      row.raised_ms,
      row.changed_ms,
    ],
  );
}
