import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { JOIN_ATTEMPTS_MAX, JOIN_TRANSITIONS, type JoinEvent, type JoinProgress, type JoinRecord } from '../domain/join-state.js';
import type { FrameRequest } from '../domain/frame-plan.js';

/** A claim stands this long without a heartbeat. */
export const LEASE_MS = 15_000;
const LISTED_MAX = 100;

const COLUMNS = `id, project, state, request, frame, rows, rows_read AS "rowsRead", rows_written AS "rowsWritten", training_set AS "trainingSet",
  error_code AS "errorCode", error, attempts, created_at AS "createdAt", finished_at AS "finishedAt"`;

@Injectable()
export class JoinStore {
  constructor(private readonly postgres: Postgres) {}

  async insert(id: string, project: string, request: FrameRequest, frame: string): Promise<JoinRecord> {
    const [row] = await this.postgres.query<JoinRecord>(
      `INSERT INTO point_in_time_joins (id, project, state, request, frame) VALUES ($1, $2, 'queued', $3, $4) RETURNING ${COLUMNS}`,
      [id, project, JSON.stringify(request), frame],
    );
    return row!;
  }

  async find(project: string, id: string): Promise<JoinRecord | undefined> {
    const [row] = await this.postgres.query<JoinRecord>(`SELECT ${COLUMNS} FROM point_in_time_joins WHERE project = $1 AND id = $2`, [
      project,
      id,
    ]);
    return row;
  }

  list(project: string): Promise<JoinRecord[]> {
    return this.postgres.query<JoinRecord>(
      `SELECT ${COLUMNS} FROM point_in_time_joins WHERE project = $1 ORDER BY created_at DESC, id DESC LIMIT ${LISTED_MAX}`,
      [project],
    );
  }

  /** The oldest join that waits, or whose process died. */
  async claim(owner: string): Promise<JoinRecord | undefined> {
    const [row] = await this.postgres.query<JoinRecord>(
      `UPDATE point_in_time_joins SET state = 'running', attempts = attempts + 1, lease_owner = $1, lease_until = now() + interval '${LEASE_MS} milliseconds',
         rows_read = 0, rows_written = 0
       WHERE id = (
         SELECT id FROM point_in_time_joins
         WHERE state = 'queued' OR (state = 'running' AND lease_until < now() AND attempts < ${JOIN_ATTEMPTS_MAX})
         ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING ${COLUMNS}`,
      [owner],
    );
    return row;
  }

  /** Joins that took down every process that tried them. @returns how many were failed. */
  failLost(): Promise<number> {
    return this.postgres.execute(
      `UPDATE point_in_time_joins SET state = 'failed', error_code = 'INTERNAL', finished_at = now(),
         error = 'the process died ' || attempts || ' times while it ran; restart the join, perhaps with fewer rows'
       WHERE state = 'running' AND lease_until < now() AND attempts >= ${JOIN_ATTEMPTS_MAX}`,
    );
  }

  /** Renews the claim. @returns whether to go on: neither cancelled nor taken over. */
  async heartbeat(id: string, owner: string, { rows, rowsRead, rowsWritten }: JoinProgress): Promise<boolean> {
    const [row] = await this.postgres.query<{ cancel: boolean }>(
      `UPDATE point_in_time_joins SET rows = $3, rows_read = $4, rows_written = $5, lease_until = now() + interval '${LEASE_MS} milliseconds'
       WHERE id = $1 AND lease_owner = $2 AND state = 'running' RETURNING cancel_requested AS cancel`,
      [id, owner, rows, rowsRead, rowsWritten],
    );
    return row !== undefined && !row.cancel;
  }

  /** Ends the claim. A cancellation that was acknowledged holds, also when the work was done before it was noticed. @returns whether it was still this owner's. */
  async end(
    id: string,
    owner: string,
    event: Extract<JoinEvent, 'succeed' | 'fail' | 'cancel' | 'release'>,
    result: Partial<JoinRecord>,
  ): Promise<boolean> {
    const state = JOIN_TRANSITIONS.running[event]!;
    const changed = await this.postgres.execute(
      `UPDATE point_in_time_joins SET state = CASE WHEN cancel_requested THEN 'cancelled' ELSE $3 END,
         training_set = CASE WHEN cancel_requested THEN '' ELSE $4 END, error_code = $5, error = $6, rows = coalesce($7, rows), rows_read = coalesce($8, rows_read),
         rows_written = coalesce($9, rows_written), attempts = attempts - $10,
         finished_at = CASE WHEN $3 = 'queued' AND NOT cancel_requested THEN NULL ELSE now() END
       WHERE id = $1 AND lease_owner = $2 AND state = 'running'`,
      [
        id,
        owner,
        state,
        result.trainingSet ?? '',
        result.errorCode ?? '',
        result.error ?? '',
        result.rows ?? null,
        result.rowsRead ?? null,
        result.rowsWritten ?? null,
        event === 'release' ? 1 : 0,
      ],
    );
    return changed === 1;
  }

  /** A queued join is cancelled here; a running one is told to stop. */
  async cancel(project: string, id: string): Promise<void> {
    await this.postgres.execute(
      `UPDATE point_in_time_joins SET cancel_requested = true, state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
         finished_at = CASE state WHEN 'queued' THEN now() ELSE finished_at END
       WHERE project = $1 AND id = $2 AND state IN ('queued', 'running')`,
      [project, id],
    );
  }

  async restart(project: string, id: string): Promise<void> {
    await this.postgres.execute(
      `UPDATE point_in_time_joins SET state = 'queued', cancel_requested = false, attempts = 0, error = '', error_code = '', finished_at = NULL
       WHERE project = $1 AND id = $2 AND state IN ('failed', 'cancelled')`,
      [project, id],
    );
  }

  /** Frames that a join may still need. */
  async framesInUse(sinceMs: number): Promise<Set<string>> {
    const rows = await this.postgres.query<{ frame: string }>(
      `SELECT DISTINCT frame FROM point_in_time_joins WHERE state IN ('queued', 'running') OR created_at > $1`,
      [new Date(sinceMs)],
    );
    return new Set(rows.map(({ frame }) => frame));
  }
}
