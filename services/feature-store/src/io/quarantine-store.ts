import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { ErrorCode } from '@headrace/base/errors';
import type { KeptRow, QuarantinedRow } from '../domain/quarantined-row.js';

export interface QuarantineCount {
  readonly view: string;
  readonly code: string;
  readonly feature: string;
  readonly rows: number;
}

/** Refused rows in Postgres. */
@Injectable()
export class QuarantineStore {
  constructor(private readonly postgres: Postgres) {}

  /** A row that is refused again stays one entry, with the newest reason. @returns entries that are new. */
  async add(rows: readonly QuarantinedRow[]): Promise<number> {
    if (rows.length === 0) return 0;
    const column = (pick: (row: QuarantinedRow) => unknown): unknown[] => rows.map(pick);
    const kept = await this.postgres.query<{ is_new: boolean }>(ADD, [
      column((r) => r.project),
      column((r) => r.view),
      column((r) => r.origin),
      column((r) => r.position),
      column((r) => r.code),
      column((r) => r.feature ?? ''),
      column((r) => r.reason),
      column((r) => r.content),
      column((r) => r.arrivedUs),
    ]);
    return kept.filter((row) => row.is_new).length;
  }

  /** Newest first. @param view empty = of all views. @param beforeId 0 = from the newest. */
  async list(project: string, view: string, beforeId: number, limit: number): Promise<KeptRow[]> {
    return (await this.postgres.query<StoredRow>(LIST, [project, view, beforeId, limit])).map(toKept);
  }

  /** One or none. */
  async find(project: string, id: number): Promise<KeptRow[]> {
    return (await this.postgres.query<StoredRow>(FIND, [project, id])).map(toKept);
  }

  /** Oldest first, for a replay. @param ids empty = all. */
  async next(project: string, view: string, ids: readonly number[], afterId: number, limit: number): Promise<KeptRow[]> {
    return (await this.postgres.query<StoredRow>(NEXT, [project, view, ids, afterId, limit])).map(toKept);
  }

  async remove(ids: readonly number[]): Promise<void> {
    if (ids.length > 0) await this.postgres.execute('DELETE FROM quarantined_rows WHERE id = ANY ($1::bigint[])', [ids]);
  }

  async counts(project: string): Promise<QuarantineCount[]> {
    return this.postgres.query<{ view: string; code: string; feature: string; rows: number }>(COUNTS, [project]);
  }

  /** Keeps the newest `rowsMax` of a view. @returns how many went. */
  async trim(project: string, view: string, rowsMax: number): Promise<number> {
    return this.postgres.execute(TRIM, [project, view, rowsMax]);
  }
}

// By unnest, so that one text serves any number of rows. `xmax = 0` tells an inserted row from an updated one.
const ADD = `
INSERT INTO quarantined_rows (project, view, origin, position, code, feature, reason, content, arrived_us)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[])
ON CONFLICT (project, view, origin, position) DO UPDATE SET code = excluded.code, feature = excluded.feature, reason = excluded.reason
RETURNING xmax = 0 AS is_new`;

const COLUMNS = `id, project, view, origin, position, code, feature, reason, content, arrived_us,
  (extract(epoch FROM quarantined_at) * 1000)::bigint AS quarantined_ms`;

const LIST = `
SELECT ${COLUMNS} FROM quarantined_rows
WHERE project = $1 AND ($2 = '' OR view = $2) AND ($3 = 0 OR id < $3)
ORDER BY id DESC LIMIT $4`;

const FIND = `SELECT ${COLUMNS} FROM quarantined_rows WHERE project = $1 AND id = $2`;

const NEXT = `
SELECT ${COLUMNS} FROM quarantined_rows
WHERE project = $1 AND view = $2 AND (cardinality($3::bigint[]) = 0 OR id = ANY ($3::bigint[])) AND id > $4
ORDER BY id LIMIT $5`;

const COUNTS = `
SELECT view, code, feature, count(*) AS rows FROM quarantined_rows
WHERE project = $1 GROUP BY view, code, feature ORDER BY view, rows DESC, code, feature`;

const TRIM = `
DELETE FROM quarantined_rows WHERE project = $1 AND view = $2 AND id <=
  (SELECT id FROM quarantined_rows WHERE project = $1 AND view = $2 ORDER BY id DESC OFFSET $3 LIMIT 1)`;

interface StoredRow {
  readonly id: number;
  readonly project: string;
  readonly view: string;
  readonly origin: string;
  readonly position: number;
  readonly code: ErrorCode;
  readonly feature: string;
  readonly reason: string;
  readonly content: string;
  readonly arrived_us: number;
  readonly quarantined_ms: number;
}

function toKept({ arrived_us: arrivedUs, quarantined_ms: quarantinedAtMs, ...row }: StoredRow): KeptRow {
  return { ...row, arrivedUs, quarantinedAtMs };
}
