import { Injectable } from '@nestjs/common';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import type { ErasedEntity, ErasedView, Erasure, ErasureSnapshot } from '../domain/erasure.js';

/** An erasure that is not done, with what it needs to go on. */
export interface RunningErasure extends Erasure, ErasedEntity {
  readonly keyValues: readonly string[];
}

/** What who stores rows must know of erasures. */
export interface ErasureEpoch {
  readonly epoch: number;
  readonly secret: string;
}

const LOCK = 'headrace feature-store erasures';
const LISTED_MAX = 200;

/** In the transaction that stores rows: no erasure begins until it ends. @returns false when one has begun since the epoch. */
export async function holdErasures(tx: Tx, epoch: number): Promise<boolean> {
  await tx.query('SELECT pg_advisory_xact_lock_shared(hashtext($1))', [LOCK]);
  // A statement of its own: it must see what was committed while the lock was waited for.
  const [row] = await tx.query<{ epoch: number }>('SELECT epoch FROM erasure_state');
  return row!.epoch === epoch;
}

/** Erasures and tombstones in Postgres. */
@Injectable()
export class ErasureStore {
  constructor(private readonly postgres: Postgres) {}

  async epoch(): Promise<ErasureEpoch> {
    const [row] = await this.postgres.query<ErasureEpoch>('SELECT epoch, secret FROM erasure_state');
    return row!;
  }

  /** By project the key names that some erased entity has, sorted. */
  async shapes(): Promise<Map<string, string[][]>> {
    const rows = await this.postgres.query<{ project: string; key_names: string[] }>(
      'SELECT DISTINCT project, key_names FROM erasure_tombstones',
    );
    const shapes = new Map<string, string[][]>();
    for (const { project, key_names: names } of rows) shapes.set(project, [...(shapes.get(project) ?? []), names]);
    return shapes;
  }

  /** Of the hashes those that are erased, with the last event time that is. */
  async tombstones(project: string, names: readonly string[], hashes: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.postgres.query<{ key_hash: string; until_ms: number }>(
      'SELECT key_hash, until_ms FROM erasure_tombstones WHERE project = $1 AND key_names = $2::text[] AND key_hash = ANY ($3::text[])',
      [project, names, hashes],
    );
    return new Map(rows.map((row) => [row.key_hash, row.until_ms]));
  }

  /** The record of this request, new or of before, and the tombstone. Waits for transactions that store rows; later ones see it. */
  async begin(
    asked: Pick<
      RunningErasure,
      'id' | 'requestId' | 'project' | 'entity' | 'keyNames' | 'keyValues' | 'keyHash' | 'askedBy' | 'reason' | 'untilMs'
    >,
  ): Promise<Erasure> {
    await this.postgres.transaction(async (tx) => {
      await tx.query('SELECT pg_advisory_xact_lock(hashtext($1))', [LOCK]);
      const isNew = await tx.execute(INSERT, [
        asked.id,
        asked.project,
        asked.requestId,
        asked.entity,
        asked.keyNames,
        asked.keyValues,
        asked.keyHash,
        asked.askedBy,
        asked.reason,
        asked.untilMs,
      ]);
      if (isNew === 0) return;
      await tx.execute(TOMBSTONE, [asked.project, [...asked.keyNames].sort(), asked.keyHash, asked.untilMs]);
      await tx.execute('UPDATE erasure_state SET epoch = epoch + 1');
    });
    const [row] = await this.postgres.query<{ id: string }>('SELECT id FROM erasures WHERE project = $1 AND request_id = $2', [
      asked.project,
      asked.requestId,
    ]);
    return (await this.find(asked.project, row!.id))!;
  }

  /** Adds what a step has done; keys stay until the end, for a run that goes on after a crash. */
  async addView(tx: Tx, id: string, { view, rows, qualityWindows }: Omit<ErasedView, 'entities'>): Promise<void> {
    await tx.execute(
      `UPDATE erasure_views SET rows = rows + $3, quality_windows = greatest(quality_windows, $4) WHERE erasure_id = $1 AND view = $2`,
      [id, view, rows, qualityWindows],
    );
  }

  /** Remembers keys. @returns all that are remembered. */
  async rememberKeys(id: string, view: string, keys: readonly string[]): Promise<string[]> {
    const [row] = await this.postgres.query<{ entity_keys: string[] }>(REMEMBER, [id, view, keys]);
    return row!.entity_keys;
  }

  async addFindings(tx: Tx, id: string, findings: number): Promise<void> {
    await tx.execute('UPDATE erasures SET findings = findings + $2, touched_at = now() WHERE id = $1', [id, findings]);
  }

  async addQuarantined(id: string, rows: number): Promise<void> {
    await this.postgres.execute('UPDATE erasures SET quarantined = quarantined + $2, touched_at = now() WHERE id = $1', [id, rows]);
  }

  /** From now on nothing names the entity but the hash. */
  async finish(id: string, snapshots: readonly ErasureSnapshot[]): Promise<void> {
    await this.postgres.transaction(async (tx) => {
      await tx.execute(
        `UPDATE erasures SET state = 'done', key_values = NULL, snapshots = $2, finished_at = now() WHERE id = $1 AND state = 'running'`,
        [id, JSON.stringify(snapshots)],
      );
      await tx.execute('UPDATE erasure_views SET entity_keys = NULL WHERE erasure_id = $1', [id]);
    });
  }

  async find(project: string, id: string): Promise<Erasure | undefined> {
    const [row] = await this.postgres.query<Erasure>(`${SELECT} WHERE project = $1 AND id = $2`, [project, id]);
    return row;
  }

  /** Newest first. */
  list(project: string): Promise<Erasure[]> {
    return this.postgres.query<Erasure>(`${SELECT} WHERE project = $1 ORDER BY requested_at DESC, id DESC LIMIT ${LISTED_MAX}`, [project]);
  }

  /** Those whose process died or failed: nobody has touched them for so long. Touches them. */
  takeOver(quietMs: number): Promise<RunningErasure[]> {
    return this.postgres.query<RunningErasure>(
      `WITH taken AS (UPDATE erasures SET touched_at = now() WHERE state = 'running' AND touched_at <= now() - $1 * interval '1 millisecond' RETURNING id)
       ${SELECT} WHERE id IN (SELECT id FROM taken)`,
      [quietMs],
    );
  }

  async snapshots(project: string, views: readonly string[]): Promise<ErasureSnapshot[]> {
    const rows = await this.postgres.query<{ hash: string; built_at: Date; views: string[] }>(SNAPSHOTS, [project, views]);
    return rows.map(({ hash, built_at: builtAt, views: of }) => ({ hash, builtAt: builtAt.toISOString(), views: of }));
  }
}

const INSERT = `
INSERT INTO erasures (id, project, request_id, entity, key_names, key_values, key_hash, asked_by, reason, until_ms, state)
VALUES ($1, $2, $3, $4, $5::text[], $6::text[], $7, $8, $9, $10, 'running') ON CONFLICT (project, request_id) DO NOTHING`;

const TOMBSTONE = `
INSERT INTO erasure_tombstones AS t (project, key_names, key_hash, until_ms) VALUES ($1, $2::text[], $3, $4)
ON CONFLICT (project, key_names, key_hash) DO UPDATE SET until_ms = greatest(t.until_ms, excluded.until_ms)`;

const REMEMBER = `
INSERT INTO erasure_views AS v (erasure_id, view, entity_keys, entities) VALUES ($1, $2, $3::text[], cardinality($3::text[]))
ON CONFLICT (erasure_id, view) DO UPDATE SET
  entity_keys = (SELECT coalesce(array_agg(DISTINCT k), '{}') FROM unnest(v.entity_keys || excluded.entity_keys) AS k),
  entities = (SELECT count(DISTINCT k) FROM unnest(v.entity_keys || excluded.entity_keys) AS k)
RETURNING entity_keys`;

const SELECT = `
SELECT id, request_id AS "requestId", project, entity, key_names AS "keyNames", key_values AS "keyValues", key_hash AS "keyHash",
  asked_by AS "askedBy", reason, state, until_ms AS "untilMs", quarantined, findings, snapshots,
  requested_at AS "requestedAt", finished_at AS "finishedAt",
  (SELECT coalesce(jsonb_agg(jsonb_build_object('view', view, 'rows', rows, 'entities', entities, 'qualityWindows', quality_windows) ORDER BY view), '[]')
   FROM erasure_views WHERE erasure_id = erasures.id) AS views
FROM erasures`;

/** Those that were made from one of the views, whether or not the entity is among their rows. */
const SNAPSHOTS = `
SELECT hash, built_at, (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(view_hashes) AS k WHERE k = ANY ($2::text[])) AS views
FROM training_sets WHERE project = $1 AND view_hashes ?| $2::text[] ORDER BY built_at DESC`;
