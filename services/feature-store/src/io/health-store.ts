import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { rowTable } from '../domain/identifier.js';
import type { Skew, SkewKind } from '../domain/consistency.js';
import type { FreshnessCount } from '../domain/freshness-objective.js';
import type { MergedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { storedColumns, toMergedRow, type StoredRow } from './offline-store.js';

export interface Finding {
  readonly feature: string;
  readonly entity: string;
  readonly kind: SkewKind;
  readonly served: string;
  readonly expected: string;
  readonly eventTime: Date | undefined;
  readonly foundAt: Date;
}

export interface FeatureCounts {
  readonly feature: string;
  readonly checked: number;
  readonly mismatched: number;
  readonly missing: number;
  readonly extra: number;
}

export interface FoundSkew {
  readonly entity: string;
  readonly skew: Skew;
  /** As JSON. */
  readonly served: string;
  readonly expected: string;
}

/** Kept for each view. */
const FINDINGS_MAX = 1_000;
const FINDINGS_LISTED_MAX = 200;
/** Pages are drawn, not rows; this many times more rows than wanted makes the draw less lumpy. */
const OVERDRAW = 20;

const NEWEST_FIRST = '_event_time DESC, _last_ingest DESC, _content DESC';

/** What the inspection reads of the rows, and what it found. */
@Injectable()
export class HealthStore {
  constructor(private readonly postgres: Postgres) {}

  /** Some entities of the view, drawn at random; one with many rows is drawn more often. */
  async sampleEntities(view: View, count: number): Promise<string[]> {
    const [stored] = await this.postgres.query<{ rows: number }>(
      'SELECT coalesce(sum(rows), 0)::bigint AS rows FROM view_row_counts WHERE view_id = $1',
      [view.id],
    );
    const percent = Math.min(100, (100 * OVERDRAW * count) / Math.max(1, stored!.rows));
    const rows = await this.postgres.query<{ entity: string }>(
      `SELECT entity FROM (SELECT DISTINCT _entity AS entity FROM ${rowTable(view.id)} TABLESAMPLE SYSTEM (${percent})) AS drawn ORDER BY random() LIMIT $1`,
      [count],
    );
    return rows.map(({ entity }) => entity);
  }

  async newestOf(view: View, entities: readonly string[]): Promise<Map<string, MergedRow>> {
    const rows = await this.postgres.query<StoredRow>(
      `SELECT DISTINCT ON (_entity) ${storedColumns(view)} FROM ${rowTable(view.id)} WHERE _entity = ANY($1) ORDER BY _entity, ${NEWEST_FIRST}`,
      [entities],
    );
    return new Map(rows.map((row) => [row.entity, toMergedRow(view, row)]));
  }

  /** All rows of each entity at one instant, newest arrival first. */
  async rowsAt(
    view: View,
    moments: readonly { readonly entity: string; readonly eventTimeMs: number }[],
  ): Promise<Map<string, MergedRow[]>> {
    const rows = await this.postgres.query<StoredRow>(
      `SELECT ${storedColumns(view)} FROM ${rowTable(view.id)} JOIN unnest($1::text[], $2::timestamptz[]) AS asked (e, t) ON _entity = e AND _event_time = t ORDER BY _entity, ${NEWEST_FIRST}`,
      [moments.map(({ entity }) => entity), moments.map(({ eventTimeMs }) => new Date(eventTimeMs))],
    );
    const byEntity = new Map<string, MergedRow[]>();
    for (const row of rows) byEntity.set(row.entity, [...(byEntity.get(row.entity) ?? []), toMergedRow(view, row)]);
    return byEntity;
  }

  /** @param found all of this inspection, for the counters. @param unlisted those that are not among the findings yet. */
  async record(view: View, checked: number, found: readonly FoundSkew[], unlisted: readonly FoundSkew[], now: Date): Promise<void> {
    const names = view.spec.features.map(({ name }) => name);
    const countOf = (feature: string, kind: SkewKind): number =>
      found.filter(({ skew }) => skew.feature === feature && skew.kind === kind).length;
    await this.postgres.transaction(async (tx) => {
      await tx.execute(
        `INSERT INTO view_consistency AS c (view_id, feature, checked, mismatched, missing, extra)
         SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) ORDER BY 2
         ON CONFLICT (view_id, feature) DO UPDATE SET checked = c.checked + excluded.checked, mismatched = c.mismatched + excluded.mismatched,
           missing = c.missing + excluded.missing, extra = c.extra + excluded.extra`,
        [
          view.id,
          names,
          names.map(() => checked),
          names.map((name) => countOf(name, 'mismatch')),
          names.map((name) => countOf(name, 'missing')),
          names.map((name) => countOf(name, 'extra')),
        ],
      );
      if (unlisted.length === 0) return;
      const kept = unlisted.slice(0, FINDINGS_MAX);
      await tx.execute(
        `INSERT INTO consistency_findings (view_id, feature, entity, kind, served, expected, event_time, found_at)
         SELECT $1, f, e, k, s, x, t, $8 FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[]) AS r (f, e, k, s, x, t)`,
        [
          view.id,
          kept.map(({ skew }) => skew.feature),
          kept.map(({ entity }) => entity),
          kept.map(({ skew }) => skew.kind),
          kept.map(({ served }) => served),
          kept.map(({ expected }) => expected),
          kept.map(({ skew }) => (skew.eventTimeMs === undefined ? null : new Date(skew.eventTimeMs))),
          now,
        ],
      );
      await tx.execute(
        `DELETE FROM consistency_findings WHERE view_id = $1 AND id <= (SELECT id FROM consistency_findings WHERE view_id = $1 ORDER BY id DESC OFFSET ${FINDINGS_MAX} LIMIT 1)`,
        [view.id],
      );
    });
  }

  counts(view: View): Promise<FeatureCounts[]> {
    return this.postgres.query<FeatureCounts>(
      'SELECT feature, checked, mismatched, missing, extra FROM view_consistency WHERE view_id = $1 ORDER BY feature',
      [view.id],
    );
  }

  findings(view: View): Promise<Finding[]> {
    return this.postgres.query<Finding>(
      `SELECT feature, entity, kind, served, expected, event_time AS "eventTime", found_at AS "foundAt" FROM consistency_findings
       WHERE view_id = $1 ORDER BY id DESC LIMIT ${FINDINGS_LISTED_MAX}`,
      [view.id],
    );
  }

  /** Adds to the minute, and forgets those before the window. */
  async addFreshness(view: View, now: Date, { young, sampled }: FreshnessCount, windowMs: number): Promise<void> {
    await this.postgres.execute(
      `INSERT INTO freshness_minutes AS m (view_id, minute, young, sampled) VALUES ($1, date_trunc('minute', $2::timestamptz), $3, $4)
       ON CONFLICT (view_id, minute) DO UPDATE SET young = m.young + excluded.young, sampled = m.sampled + excluded.sampled`,
      [view.id, now, young, sampled],
    );
    await this.postgres.execute('DELETE FROM freshness_minutes WHERE view_id = $1 AND minute < $2', [
      view.id,
      new Date(now.getTime() - windowMs - 60_000),
    ]);
  }

  async freshness(view: View, since: Date): Promise<FreshnessCount> {
    const [row] = await this.postgres.query<FreshnessCount>(
      `SELECT coalesce(sum(young), 0)::bigint AS young, coalesce(sum(sampled), 0)::bigint AS sampled FROM freshness_minutes
       WHERE view_id = $1 AND minute >= date_trunc('minute', $2::timestamptz)`,
      [view.id, since],
    );
    return row!;
  }
}
