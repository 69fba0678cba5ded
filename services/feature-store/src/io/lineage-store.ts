import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { TrainingSetLineage } from '../domain/lineage.js';

/** What the records of training sets say of their making. */
@Injectable()
export class LineageStore {
  constructor(private readonly postgres: Postgres) {}

  /** Those of the hashes that were built here. */
  async trainingSets(project: string, hashes: readonly string[]): Promise<Map<string, TrainingSetLineage>> {
    if (hashes.length === 0) return new Map();
    const rows = await this.postgres.query<{ hash: string; service: string; views: { name: string; version: number }[] }>(TRAINING_SETS, [
      project,
      hashes,
    ]);
    return new Map(rows.map((row) => [row.hash, row]));
  }
}

const TRAINING_SETS = `
SELECT t.hash, coalesce(t.request->>'featureService', '') AS service,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('name', v.key, 'version', coalesce(
     (SELECT d.version FROM definitions d WHERE d.project = t.project AND d.kind IN ('FeatureView', 'OnDemandView') AND d.name = v.key AND d.content_hash = v.value
      ORDER BY d.version DESC LIMIT 1), 0)) ORDER BY v.key), '[]')
   FROM jsonb_each_text(t.view_hashes) AS v) AS views
FROM training_sets t WHERE t.project = $1 AND t.hash = ANY ($2)`;
