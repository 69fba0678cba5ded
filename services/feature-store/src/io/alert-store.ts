import { Injectable } from '@nestjs/common';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import type { FeatureAlert, Measured } from '../domain/feature-alert.js';

const COLUMNS = `alert_id AS "alertId", project, view, feature, kind, state, metric, value, threshold, samples, sentence,
  raised_at AS "raisedAt", changed_at AS "changedAt"`;
const LISTED_MAX = 500;

@Injectable()
export class AlertStore {
  constructor(private readonly postgres: Postgres) {}

  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.postgres.transaction(work);
  }

  /** The open alert of what was measured; whoever asks is alone with it until commit. */
  async open(tx: Tx, { project, view, feature, kind }: Measured): Promise<(FeatureAlert & { readonly eventId: string }) | undefined> {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`alert ${project}/${view}/${feature}/${kind}`]);
    const [row] = await tx.query<FeatureAlert & { eventId: string }>(
      `SELECT ${COLUMNS}, event_id AS "eventId" FROM feature_alerts WHERE project = $1 AND view = $2 AND feature = $3 AND kind = $4 AND state = 'firing'`,
      [project, view, feature, kind],
    );
    return row;
  }

  async save(tx: Tx, alert: FeatureAlert, eventId: string): Promise<void> {
    await tx.execute(
      `INSERT INTO feature_alerts (alert_id, project, view, feature, kind, state, metric, value, threshold, samples, sentence, event_id, raised_at, changed_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
       ON CONFLICT (alert_id) DO UPDATE SET state = excluded.state, value = excluded.value, samples = excluded.samples, sentence = excluded.sentence,
         event_id = excluded.event_id, changed_at = excluded.changed_at`,
      [
        alert.alertId,
        alert.project,
        alert.view,
        alert.feature,
        alert.kind,
        alert.state,
        alert.metric,
        alert.value,
        alert.threshold,
        alert.samples,
        alert.sentence,
        eventId,
        alert.raisedAt,
        alert.changedAt,
      ],
    );
  }

  /** @param view empty = of all. */
  list(project: string, view: string): Promise<FeatureAlert[]> {
    return this.postgres.query<FeatureAlert>(
      `SELECT ${COLUMNS} FROM feature_alerts WHERE project = $1 AND ($2 = '' OR view = $2) ORDER BY changed_at DESC, alert_id LIMIT ${LISTED_MAX}`,
      [project, view],
    );
  }

  /** Features of the view with an open alert of that kind. */
  async firing(project: string, view: string, kind: FeatureAlert['kind']): Promise<string[]> {
    const rows = await this.postgres.query<{ feature: string }>(
      `SELECT feature FROM feature_alerts WHERE project = $1 AND view = $2 AND kind = $3 AND state = 'firing'`,
      [project, view, kind],
    );
    return rows.map(({ feature }) => feature);
  }
}
