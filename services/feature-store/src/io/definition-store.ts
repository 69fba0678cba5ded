import { Injectable } from '@nestjs/common';
import {
  parseDefinition,
  type EntityDefinition,
  type FeatureServiceDefinition,
  type FeatureViewDefinition,
  type OnDemandViewDefinition,
} from '@headrace/definitions/definition';
import type { Tx } from '@headrace/platform/postgres/postgres';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { Catalogue, PlannedChange, StoredDefinition, Versioned } from '../domain/definition-plan.js';
import { compileService, featureNames, type FeatureService } from '../domain/feature-service.js';
import { compileOnDemand, type Transform } from '../domain/transform.js';
import { compileView, type Field, type View, type ViewVersion } from '../domain/view.js';

/** Definitions in Postgres. Specs are parsed again when they are read, so that those of older releases get today's defaults. */
@Injectable()
export class DefinitionStore {
  constructor(private readonly postgres: Postgres) {}

  async epoch(): Promise<number> {
    const [row] = await this.postgres.query<{ epoch: number }>('SELECT epoch FROM catalogue_epoch');
    return row!.epoch;
  }

  /** Every view of every project with all its versions, every on-demand view and service, as of one moment. */
  load(): Promise<Loaded> {
    return this.postgres.transaction(
      async (tx) => {
        const [epoch] = await tx.query<{ epoch: number }>('SELECT epoch FROM catalogue_epoch');
        const rows = await tx.query<ViewRow>(LOAD_VIEWS);
        const views = rows.map(toView);
        const picking = await tx.query<NewestRow>(LOAD_NEWEST, [['OnDemandView', 'FeatureService']]);
        const transforms = picking.flatMap((row) => toTransform(row, views));
        const services = picking.flatMap((row) => toService(row, views, transforms));
        return { epoch: epoch!.epoch, views, transforms, services };
      },
      { isolation: 'repeatable read', readOnly: true },
    );
  }

  /** Serialises all that change definitions, until the end of the transaction. */
  async lock(tx: Tx): Promise<void> {
    await tx.query("SELECT pg_advisory_xact_lock(hashtext('headrace feature-store definitions'))");
  }

  async newest(tx: Tx, project: string): Promise<Catalogue> {
    const rows = await tx.query<{ kind: string; name: string; version: number; spec: object }>(
      'SELECT DISTINCT ON (kind, name) kind, name, version, spec FROM definitions WHERE project = $1 ORDER BY kind, name, version DESC',
      [project],
    );
    const versioned = rows.map((r): Versioned<StoredDefinition> => ({
      definition: parseStored(r.kind, r.name, r.spec),
      version: r.version,
    }));
    const ofKind = <D extends StoredDefinition>(kind: D['kind']): Map<string, Versioned<D>> =>
      new Map(versioned.filter((v) => v.definition.kind === kind).map((v) => [v.definition.name, v as Versioned<D>]));
    return {
      entities: ofKind<EntityDefinition>('Entity'),
      views: ofKind<FeatureViewDefinition>('FeatureView'),
      transforms: ofKind<OnDemandViewDefinition>('OnDemandView'),
      services: ofKind<FeatureServiceDefinition>('FeatureService'),
      fieldsEver: await this.#fieldsEver(tx, project),
    };
  }

  async #fieldsEver(tx: Tx, project: string): Promise<Map<string, Map<string, Field>>> {
    const rows = await tx.query<{ name: string; spec: object }>(
      "SELECT name, spec FROM definitions WHERE project = $1 AND kind = 'FeatureView' ORDER BY name, version",
      [project],
    );
    const ever = new Map<string, Map<string, Field>>();
    for (const { name, spec } of rows) {
      const fields = ever.get(name) ?? new Map<string, Field>();
      for (const field of (parseStored('FeatureView', name, spec) as FeatureViewDefinition).spec.features) fields.set(field.name, field);
      ever.set(name, fields);
    }
    return ever;
  }

  async insert(tx: Tx, project: string, { definition, version }: PlannedChange): Promise<void> {
    await tx.execute('INSERT INTO definitions (project, kind, name, version, content_hash, spec) VALUES ($1, $2, $3, $4, $5, $6)', [
      project,
      definition.kind,
      definition.name,
      version,
      definition.contentHash,
      JSON.stringify(definition.spec),
    ]);
  }

  async insertView(tx: Tx, project: string, name: string, partitionMonths: number): Promise<number> {
    const [row] = await tx.query<{ id: number }>('INSERT INTO views (project, name, partition_months) VALUES ($1, $2, $3) RETURNING id', [
      project,
      name,
      partitionMonths,
    ]);
    return row!.id;
  }

  async viewId(tx: Tx, project: string, name: string): Promise<number> {
    const [row] = await tx.query<{ id: number }>('SELECT id FROM views WHERE project = $1 AND name = $2', [project, name]);
    return row!.id;
  }

  async nextEpoch(tx: Tx): Promise<void> {
    await tx.execute('UPDATE catalogue_epoch SET epoch = epoch + 1');
  }

  async offlineRows(project: string): Promise<Map<string, number>> {
    const rows = await this.postgres.query<{ name: string; rows: number }>(
      'SELECT v.name, coalesce(sum(c.rows), 0)::bigint AS rows FROM views v LEFT JOIN view_row_counts c ON c.view_id = v.id WHERE v.project = $1 GROUP BY v.name',
      [project],
    );
    return new Map(rows.map((r) => [r.name, r.rows]));
  }

  /** Views by id -> layout that all their online blobs are known to have. */
  async onlineFingerprints(): Promise<Map<number, number | null>> {
    const rows = await this.postgres.query<{ id: number; online_fingerprint: number | null }>('SELECT id, online_fingerprint FROM views');
    return new Map(rows.map((r) => [r.id, r.online_fingerprint]));
  }
}

const LOAD_VIEWS = `
SELECT v.id, v.project, v.name, v.partition_months,
  (SELECT jsonb_agg(jsonb_build_object('version', d.version, 'contentHash', d.content_hash, 'spec', d.spec) ORDER BY d.version)
   FROM definitions d WHERE d.project = v.project AND d.kind = 'FeatureView' AND d.name = v.name) AS versions,
  (SELECT jsonb_agg(jsonb_build_object('name', e.name, 'spec', e.spec) ORDER BY e.name, e.version)
   FROM definitions e WHERE e.project = v.project AND e.kind = 'Entity') AS entities
FROM views v ORDER BY v.id`;

/** All that is held in memory. */
export interface Loaded {
  readonly epoch: number;
  readonly views: readonly View[];
  readonly transforms: readonly Transform[];
  readonly services: readonly FeatureService[];
}

const LOAD_NEWEST = `
SELECT DISTINCT ON (project, kind, name) project, kind, name, version, content_hash, spec FROM definitions
WHERE kind = ANY ($1) ORDER BY project, kind, name, version DESC`;

interface NewestRow {
  readonly project: string;
  readonly kind: string;
  readonly name: string;
  readonly version: number;
  readonly content_hash: string;
  readonly spec: object;
}

/** One whose inputs are gone cannot be compiled; it was refused or allowed when they went, and nobody can read it. */
function toTransform(
  { project, kind, name, version, content_hash: contentHash, spec: stored }: NewestRow,
  views: readonly View[],
): Transform[] {
  if (kind !== 'OnDemandView') return [];
  const { spec } = parseStored(kind, name, stored) as OnDemandViewDefinition;
  const compiled = compileOnDemand(spec, (view) => named(views, project, view));
  return 'faults' in compiled ? [] : [{ project, name, version, contentHash, spec, compiled: compiled.transform }];
}

function toService(
  { project, kind, name, version, content_hash: contentHash, spec: stored }: NewestRow,
  views: readonly View[],
  transforms: readonly Transform[],
): FeatureService[] {
  if (kind !== 'FeatureService') return [];
  const { spec } = parseStored(kind, name, stored) as FeatureServiceDefinition;
  const find = (view: string): string[] | undefined => featureNames(named(views, project, view), named(transforms, project, view));
  return [compileService({ project, name, version, contentHash, spec }, find)];
}

function named<T extends { readonly project: string; readonly name: string }>(
  all: readonly T[],
  project: string,
  name: string,
): T | undefined {
  return all.find((one) => one.project === project && one.name === name);
}

interface ViewRow {
  readonly id: number;
  readonly project: string;
  readonly name: string;
  readonly partition_months: number;
  readonly versions: { version: number; contentHash: string; spec: object }[];
  readonly entities: { name: string; spec: object }[];
}

function toView(row: ViewRow): View {
  const versions = row.versions.map(({ version, contentHash, spec }): ViewVersion => {
    return { version, contentHash, spec: (parseStored('FeatureView', row.name, spec) as FeatureViewDefinition).spec };
  });
  // A view never changes its entity, and an entity in use never changes its join keys.
  const entity = versions.at(-1)!.spec.entity;
  const { spec } = row.entities.findLast((e) => e.name === entity)!;
  const { joinKeys } = (parseStored('Entity', entity, spec) as EntityDefinition).spec;
  return compileView({ id: row.id, project: row.project, name: row.name, joinKeys, partitionMonths: row.partition_months, versions });
}

function parseStored(kind: string, name: string, spec: object): StoredDefinition {
  return parseDefinition({ ...spec, kind, name }, `stored ${kind} ${name}`) as StoredDefinition;
}
