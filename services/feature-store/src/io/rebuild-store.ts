import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { rowTable } from '../domain/identifier.js';
import type { View } from '../domain/view.js';

export type RebuildPhase = 'rows' | 'windows';

export interface Rebuild {
  readonly view: string;
  readonly state: 'running' | 'done';
  readonly phase: RebuildPhase;
  readonly afterEntity: string;
  readonly entities: number;
  readonly entitiesTotal: number;
  readonly seconds: number;
  readonly startedAt: Date;
  readonly finishedAt: Date | undefined;
}

/** Who does not renew it for this long is dead. A batch takes a fraction of it. */
export const LEASE_MS = 15_000;
const COUNT_TIMEOUT_MS = 120_000;

/** Rebuilds of the online store in Postgres. */
@Injectable()
export class RebuildStore {
  constructor(private readonly postgres: Postgres) {}

  /**
   * Begins anew. @param force takes the work from whoever does it; else one that is under way for the same layout stays.
   * @returns undefined when it stays.
   */
  async begin(view: View, owner: string, redisRun: string, force: boolean): Promise<Rebuild | undefined> {
    const total = await this.#countEntities(view);
    const begun = await this.postgres.execute(BEGIN, [view.id, view.onlineFingerprint, redisRun, total, owner, LEASE_MS, force]);
    return begun === 0 ? undefined : (await this.#read('v.id = $1', [view.id]))[0]!;
  }

  /** Goes on with one that nobody works on any more. @returns undefined when there is none, or it was for another layout or another run of Redis. */
  async resume(view: View, owner: string, redisRun: string): Promise<Rebuild | undefined> {
    const taken = await this.postgres.execute(RESUME, [view.id, view.onlineFingerprint, redisRun, owner, LEASE_MS]);
    return taken === 0 ? undefined : (await this.#read('v.id = $1', [view.id]))[0];
  }

  /** Renews the lease. @returns false when another one has begun meanwhile. */
  async progress(
    view: View,
    owner: string,
    { phase, afterEntity, entities, seconds }: Pick<Rebuild, 'phase' | 'afterEntity' | 'entities' | 'seconds'>,
  ): Promise<boolean> {
    return (await this.postgres.execute(PROGRESS, [view.id, owner, phase, afterEntity, entities, seconds, LEASE_MS])) === 1;
  }

  /** The layout of everything that the view has online is known from now on. */
  async finish(view: View, owner: string, seconds: number): Promise<boolean> {
    return this.postgres.transaction(async (tx) => {
      const done = await tx.execute(FINISH, [view.id, owner, seconds]);
      if (done === 1) await tx.execute('UPDATE views SET online_fingerprint = $2 WHERE id = $1', [view.id, view.onlineFingerprint]);
      return done === 1;
    });
  }

  /** Another process, or this one later, goes on at once. */
  async release(view: View, owner: string): Promise<void> {
    await this.postgres.execute('UPDATE online_rebuilds SET lease_until = now() WHERE view_id = $1 AND owner = $2', [view.id, owner]);
  }

  list(project: string): Promise<Rebuild[]> {
    return this.#read('v.project = $1', [project]);
  }

  /** Views whose rebuild was left in the middle. */
  async leftBehind(): Promise<Set<number>> {
    const rows = await this.postgres.query<{ view_id: number }>(
      `SELECT view_id FROM online_rebuilds WHERE state = 'running' AND lease_until <= now()`,
    );
    return new Set(rows.map((row) => row.view_id));
  }

  async #countEntities(view: View): Promise<number> {
    const [row] = await this.postgres.transaction(
      (tx) => tx.query<{ entities: number }>(`SELECT count(*) AS entities FROM (SELECT DISTINCT _entity FROM ${rowTable(view.id)}) AS e`),
      { readOnly: true, statementTimeoutMs: COUNT_TIMEOUT_MS },
    );
    return row!.entities;
  }

  #read(where: string, params: readonly unknown[]): Promise<Rebuild[]> {
    return this.postgres.query<Rebuild>(
      `SELECT v.name AS view, state, phase, after_entity AS "afterEntity", entities, entities_total AS "entitiesTotal", seconds,
         started_at AS "startedAt", finished_at AS "finishedAt"
       FROM online_rebuilds r JOIN views v ON v.id = r.view_id WHERE ${where} ORDER BY started_at DESC, v.name`,
      params,
    );
  }
}

const BEGIN = `
INSERT INTO online_rebuilds (view_id, state, phase, fingerprint, redis_run, after_entity, entities, entities_total, seconds, owner, lease_until, started_at)
VALUES ($1, 'running', 'rows', $2, $3, '', 0, $4, 0, $5, now() + $6 * interval '1 millisecond', now())
ON CONFLICT (view_id) DO UPDATE SET state = 'running', phase = 'rows', fingerprint = excluded.fingerprint, redis_run = excluded.redis_run,
  after_entity = '', entities = 0, entities_total = excluded.entities_total, seconds = 0, owner = excluded.owner,
  lease_until = excluded.lease_until, started_at = now(), finished_at = NULL
WHERE $7 OR online_rebuilds.state = 'done' OR online_rebuilds.lease_until <= now() OR online_rebuilds.fingerprint <> excluded.fingerprint`;

const RESUME = `
UPDATE online_rebuilds SET owner = $4, lease_until = now() + $5 * interval '1 millisecond'
WHERE view_id = $1 AND state = 'running' AND lease_until <= now() AND fingerprint = $2 AND redis_run = $3`;

const PROGRESS = `
UPDATE online_rebuilds SET phase = $3, after_entity = $4, entities = $5, seconds = $6, lease_until = now() + $7 * interval '1 millisecond'
WHERE view_id = $1 AND owner = $2 AND state = 'running'`;

const FINISH = `
UPDATE online_rebuilds SET state = 'done', after_entity = '', seconds = $3, finished_at = now() WHERE view_id = $1 AND owner = $2 AND state = 'running'`;
