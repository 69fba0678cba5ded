import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { Backfill, BackfillPosition, BackfillSource, BackfillState } from '../domain/backfill.js';

export type NewBackfill = Pick<Backfill, 'id' | 'project' | 'view' | 'source' | 'to' | 'rowsPerSecond' | 'eventTimeColumn'> & {
  readonly requestId: string;
};

/** Backfills in Postgres. */
@Injectable()
export class BackfillStore {
  constructor(private readonly postgres: Postgres) {}

  /** @returns the job of this request: a new one, or the one that it made before. */
  async request({ id, project, requestId, view, source, to, rowsPerSecond, eventTimeColumn }: NewBackfill): Promise<Backfill> {
    await this.postgres.execute(
      `INSERT INTO backfills (id, project, request_id, view, source, destination, rows_per_second, event_time_column, state)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued') ON CONFLICT (project, request_id) DO NOTHING`,
      [id, project, requestId, view, JSON.stringify(source), to, rowsPerSecond, eventTimeColumn],
    );
    const [row] = await this.postgres.query<StoredBackfill>(`SELECT ${COLUMNS} FROM backfills WHERE project = $1 AND request_id = $2`, [
      project,
      requestId,
    ]);
    return toBackfill(row!);
  }

  async find(project: string, id: string): Promise<Backfill | undefined> {
    const [row] = await this.postgres.query<StoredBackfill>(`SELECT ${COLUMNS} FROM backfills WHERE project = $1 AND id = $2`, [
      project,
      id,
    ]);
    return row && toBackfill(row);
  }

  /** Newest first. */
  async list(project: string, limit: number): Promise<Backfill[]> {
    const rows = await this.postgres.query<StoredBackfill>(
      `SELECT ${COLUMNS} FROM backfills WHERE project = $1 ORDER BY requested_at DESC, id DESC LIMIT $2`,
      [project, limit],
    );
    return rows.map(toBackfill);
  }

  /** The oldest that nobody works on. */
  async claim(owner: string, leaseMs: number): Promise<Backfill | undefined> {
    const [row] = await this.postgres.query<StoredBackfill>(CLAIM, [owner, leaseMs]);
    return row && toBackfill(row);
  }

  /** Renews the lease. @returns false when the job was cancelled, or another process has it. */
  async progress(id: string, owner: string, position: BackfillPosition, refused: number, leaseMs: number): Promise<boolean> {
    return (await this.postgres.execute(PROGRESS, [id, owner, JSON.stringify(position), refused, leaseMs])) === 1;
  }

  async setTotal(id: string, rows: number): Promise<void> {
    await this.postgres.execute('UPDATE backfills SET rows_total = $2 WHERE id = $1', [id, rows]);
  }

  async finish(id: string, owner: string, state: 'succeeded' | 'failed', reason: string): Promise<void> {
    await this.postgres.execute(
      `UPDATE backfills SET state = $3, reason = $4, finished_at = now(), lease_owner = NULL WHERE id = $1 AND lease_owner = $2 AND state = 'running'`,
      [id, owner, state, reason],
    );
  }

  /** Another process, or this one later, goes on at once. */
  async release(id: string, owner: string): Promise<void> {
    await this.postgres.execute('UPDATE backfills SET lease_until = now() WHERE id = $1 AND lease_owner = $2', [id, owner]);
  }

  /** Does nothing to one that has ended. */
  async cancel(project: string, id: string): Promise<void> {
    await this.postgres.execute(
      `UPDATE backfills SET state = 'cancelled', finished_at = now() WHERE project = $1 AND id = $2 AND state IN ('queued', 'running')`,
      [project, id],
    );
  }
}

const COLUMNS = `id, project, view, source, destination, rows_per_second, event_time_column, state, position, rows_total, rows_refused, reason,
  (extract(epoch FROM requested_at) * 1000)::bigint AS requested_ms, (extract(epoch FROM finished_at) * 1000)::bigint AS finished_ms`;

const CLAIM = `
UPDATE backfills SET state = 'running', lease_owner = $1, lease_until = now() + $2 * interval '1 millisecond'
WHERE id = (
  SELECT id FROM backfills
  WHERE state IN ('queued', 'running') AND (lease_until IS NULL OR lease_until <= now())
  ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING ${COLUMNS}`;

const PROGRESS = `
UPDATE backfills SET position = $3, rows_refused = rows_refused + $4, lease_until = now() + $5 * interval '1 millisecond'
WHERE id = $1 AND lease_owner = $2 AND state = 'running'`;

interface StoredBackfill {
  readonly id: string;
  readonly project: string;
  readonly view: string;
  readonly source: BackfillSource;
  readonly destination: Backfill['to'];
  readonly rows_per_second: number;
  readonly event_time_column: string;
  readonly state: BackfillState;
  readonly position: BackfillPosition;
  readonly rows_total: number | null;
  readonly rows_refused: number;
  readonly reason: string;
  readonly requested_ms: number;
  readonly finished_ms: number | null;
}

function toBackfill(row: StoredBackfill): Backfill {
  return {
    id: row.id,
    project: row.project,
    view: row.view,
    source: row.source,
    to: row.destination,
    rowsPerSecond: row.rows_per_second,
    eventTimeColumn: row.event_time_column,
    state: row.state,
    position: row.position,
    rowsTotal: row.rows_total ?? 0,
    rowsRefused: row.rows_refused,
    reason: row.reason,
    requestedAtMs: row.requested_ms,
    finishedAtMs: row.finished_ms ?? undefined,
  };
}
