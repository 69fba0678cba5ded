import type { Clock } from '@headrace/base/clock';
import { messageOf } from '@headrace/base/errors';
import type { Version } from '@headrace/contracts/registry/v1/registry';
import { parseDefinition, isDefinitionOf } from '@headrace/definitions/definition';
import { CLOCK } from '@headrace/platform/platform-module';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { Inject, Injectable } from '@nestjs/common';
import { NO_BASELINE, readBaseline, type Baseline } from '../domain/baseline.js';
import { readModel, saveModel, type ModelRow, type ModelSpec } from '../io/models.js';
import { knownGroups } from '../io/panes.js';
import { RegistryClient } from '../io/registry.js';
import { readVersion, readVersionById, saveVersion, type VersionRow } from '../io/versions.js';
import { Telemetry } from '../telemetry.js';

/** All that is needed to count and judge one version. */
export interface Described {
  readonly id: number;
  readonly project: string;
  readonly model: string;
  readonly version: number;
  /** Protected attributes, in the order of stored group values. */
  readonly attributes: readonly string[];
  readonly baseline: Baseline;
  readonly spec: ModelSpec;
}

/** How stale a policy may be that another process refreshed. */
const SPEC_TTL_MS = 2_000;
/** After the registry did not answer it is left alone for so long; what needs it is parked. */
const AWAY_MS = 2_000;
const CACHED_MAX = 1_000;

/** Models and versions as the registry describes them: from memory, else our Postgres, else the registry. */
@Injectable()
export class Catalogue {
  readonly #versions = new Map<number, Omit<Described, 'spec'>>();
  readonly #ids = new Map<string, number>();
  readonly #models = new Map<string, { readonly row: ModelRow; readonly readAtMs: number }>();
  readonly #groups = new Map<string, Promise<Map<string, Set<string>>>>();
  #awayUntilMs = 0;

  constructor(
    private readonly postgres: Postgres,
    private readonly registry: RegistryClient,
    private readonly telemetry: Telemetry,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** `away`: the registry has to be asked and does not answer. `unknown`: it answered that it has no such version. */
  async describe(project: string, model: string, version: number): Promise<Described | 'away' | 'unknown'> {
    const known = await this.#stored(project, model, version);
    if (known) return known;
    if (this.clock.nowMs() < this.#awayUntilMs) return 'away';
    try {
      const [modelRow, record] = [await this.refresh(project, model), await this.registry.version(project, model, version)];
      if (!modelRow || !record) return 'unknown';
      const row = await saveVersion(this.postgres, {
        project,
        model,
        version,
        attributes: attributesOf(record, modelRow.spec),
        baseline: record.baseline ?? {},
      });
      return { ...this.#remember(row), spec: modelRow.spec };
    } catch (error) {
      if ((error as { details?: { dependency?: string } }).details?.dependency !== 'registry') throw error;
      this.#awayUntilMs = this.clock.nowMs() + AWAY_MS;
      this.telemetry.registryAway(error);
      return 'away';
    }
  }

  /** A version that predictions were stored for, so both its rows are there. */
  async byId(id: number): Promise<Described> {
    let version = this.#versions.get(id);
    if (!version) {
      const row = await readVersionById(this.postgres, id);
      if (!row) throw new Error(`version row ${id} is missing`);
      version = this.#remember(row);
    }
    const model = await this.model(version.project, version.model);
    if (!model) throw new Error(`model row ${version.project}/${version.model} is missing`);
    return { ...version, spec: model.spec };
  }

  async model(project: string, model: string): Promise<ModelRow | undefined> {
    const cached = this.#models.get(`${project}/${model}`);
    if (cached && this.clock.nowMs() - cached.readAtMs < SPEC_TTL_MS) return cached.row;
    const row = await readModel(this.postgres, project, model);
    if (row) this.#cacheModel(row);
    return row;
  }

  /** Takes over what the registry says now. @throws AppError DEPENDENCY_UNAVAILABLE */
  async refresh(project: string, model: string): Promise<ModelRow | undefined> {
    const record = await this.registry.model(project, model);
    if (!record) return undefined;
    const definition = parseDefinition({ ...record.spec, kind: 'Model', name: model }, `registry, model ${model}`);
    if (!isDefinitionOf(definition, 'Model')) return undefined;
    await saveModel(
      this.postgres,
      {
        project,
        model,
        definition_version: record.definitionVersion,
        spec: definition.spec,
        champion_version: record.aliases['champion'] ?? 0,
      },
      this.clock.nowMs(),
    );
    this.#models.delete(`${project}/${model}`);
    return this.model(project, model);
  }

  /** Group names that an attribute of a version has so far; the caller adds new ones, within the bound. */
  async groupsOf(versionId: number, attribute: string): Promise<Set<string>> {
    const key = String(versionId);
    let loading = this.#groups.get(key);
    if (!loading) {
      bound(this.#groups);
      loading = knownGroups(this.postgres, versionId);
      loading.catch(() => this.#groups.delete(key)); // the caller sees the error; the next one tries again
      this.#groups.set(key, loading);
    }
    const known = await loading;
    let groups = known.get(attribute);
    if (!groups) known.set(attribute, (groups = new Set()));
    return groups;
  }

  async #stored(project: string, model: string, version: number): Promise<Described | undefined> {
    const id = this.#ids.get(`${project}/${model}/${version}`);
    if (id !== undefined && this.#versions.has(id)) return this.byId(id);
    const row = await readVersion(this.postgres, project, model, version);
    return row ? this.byId(this.#remember(row).id) : undefined;
  }

  #remember(row: VersionRow): Omit<Described, 'spec'> {
    bound(this.#versions);
    bound(this.#ids);
    const { id, project, model, version, attributes } = row;
    const described = { id, project, model, version, attributes, baseline: this.#baselineOf(row) };
    this.#versions.set(id, described);
    this.#ids.set(`${project}/${model}/${version}`, id);
    return described;
  }

  #baselineOf(row: VersionRow): Baseline {
    try {
      return readBaseline(row.baseline);
    } catch (error) {
      this.telemetry.baselineUnusable(row, messageOf(error));
      return NO_BASELINE;
    }
  }

  #cacheModel(row: ModelRow): void {
    bound(this.#models);
    this.#models.set(`${row.project}/${row.model}`, { row, readAtMs: this.clock.nowMs() });
  }
}

/** The signature is of the version itself; a version without one is watched by what the model names now. */
function attributesOf(version: Version, spec: ModelSpec): string[] {
  const own = version.signature?.protectedFeatures.map((feature) => feature.name) ?? [];
  return own.length > 0 ? own : spec.protected.map((reference) => reference.slice(reference.indexOf(':') + 1));
}

/** These caches hold what is cheap to read again. */
function bound(cache: Map<unknown, unknown>): void {
  if (cache.size >= CACHED_MAX) cache.clear();
}
