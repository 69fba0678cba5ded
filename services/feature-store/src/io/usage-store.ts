import { Injectable } from '@nestjs/common';
import type { Tx } from '@headrace/platform/postgres/postgres';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { UsageCount, UsedKind } from '../domain/usage.js';

export interface Usage {
  readonly onlineReads: number;
  readonly onlineEntities: number;
  readonly trainingSets: number;
  readonly trainingRows: number;
  readonly lastReadAt: Date | undefined;
}

export const UNUSED: Usage = { onlineReads: 0, onlineEntities: 0, trainingSets: 0, trainingRows: 0, lastReadAt: undefined };

/** Days that an answer looks back, and that are kept. */
const DAYS_TOLD = 30;
const DAYS_KEPT = 400;

/** How often views and feature services were read. */
@Injectable()
export class UsageStore {
  constructor(private readonly postgres: Postgres) {}

  /** Not idempotent: an answer that was lost is counted twice. */
  async addOnline(counts: readonly UsageCount[]): Promise<void> {
    if (counts.length === 0) return;
    await this.postgres.execute(ADD_ONLINE, [
      counts.map(({ project }) => project),
      counts.map(({ kind }) => kind),
      counts.map(({ name }) => name),
      counts.map(({ reads }) => reads),
      counts.map(({ entities }) => entities),
    ]);
  }

  /** By `view x` and `service x`. */
  async ofProject(project: string): Promise<Map<string, Usage>> {
    const rows = await this.postgres.query<Usage & { kind: UsedKind; name: string }>(OF_PROJECT, [project]);
    return new Map(rows.map(({ kind, name, ...usage }) => [`${kind} ${name}`, usage]));
  }

  async forgetOld(): Promise<void> {
    await this.postgres.execute(`DELETE FROM feature_usage WHERE day < current_date - ${DAYS_KEPT}`);
  }
}

/** Within the transaction that records the training set. @param service empty = it was asked for by its features. */
export async function addTrainingSet(tx: Tx, project: string, views: readonly string[], service: string, rows: number): Promise<void> {
  const names = service === '' ? views : [...views, service];
  const kinds = names.map((_, i): UsedKind => (i < views.length ? 'view' : 'service'));
  await tx.execute(ADD_TRAINING_SET, [project, kinds, names, rows]);
}

// In one order for all writers, so that they never wait for each other in a circle.
const ADD_ONLINE = `
INSERT INTO feature_usage AS u (project, kind, name, day, online_reads, online_entities, last_read_at)
SELECT p, k, n, current_date, r, e, now() FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS c (p, k, n, r, e)
ORDER BY p, k, n
ON CONFLICT (project, kind, name, day) DO UPDATE SET online_reads = u.online_reads + excluded.online_reads,
  online_entities = u.online_entities + excluded.online_entities, last_read_at = greatest(u.last_read_at, excluded.last_read_at)`;

const ADD_TRAINING_SET = `
INSERT INTO feature_usage AS u (project, kind, name, day, training_sets, training_rows, last_read_at)
SELECT $1, k, n, current_date, 1, $4::bigint, now() FROM unnest($2::text[], $3::text[]) AS c (k, n)
ORDER BY k, n
ON CONFLICT (project, kind, name, day) DO UPDATE SET training_sets = u.training_sets + 1,
  training_rows = u.training_rows + excluded.training_rows, last_read_at = greatest(u.last_read_at, excluded.last_read_at)`;

const OF_PROJECT = `
SELECT kind, name, sum(online_reads)::bigint AS "onlineReads", sum(online_entities)::bigint AS "onlineEntities",
  sum(training_sets)::bigint AS "trainingSets", sum(training_rows)::bigint AS "trainingRows", max(last_read_at) AS "lastReadAt"
FROM feature_usage WHERE project = $1 AND day > current_date - ${DAYS_TOLD} GROUP BY kind, name`;
