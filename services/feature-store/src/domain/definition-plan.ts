import { AppError } from '@headrace/base/errors';
import type { EntityDefinition, FeatureViewDefinition } from '@headrace/definitions/definition';
import { RESERVED_COLUMNS } from './identifier.js';
import type { Field, ViewSpec } from './view.js';

export type StoredDefinition = EntityDefinition | FeatureViewDefinition;

/** Newest versions of a project's definitions. */
export interface Catalogue {
  readonly entities: ReadonlyMap<string, Versioned<EntityDefinition>>;
  readonly views: ReadonlyMap<string, Versioned<FeatureViewDefinition>>;
}

export interface Versioned<D> {
  readonly definition: D;
  readonly version: number;
}

export type Change = 'created' | 'updated' | 'unchanged';

export interface PlannedChange {
  readonly definition: StoredDefinition;
  readonly change: Change;
  readonly version: number;
  /** Of a view that exists already: features whose columns must be added. */
  readonly addedFields: readonly Field[];
}

/**
 * What applying the definitions would do, entities first, as one unit: either all of it is legal or none happens.
 * @throws AppError DEFINITION_INVALID, ENTITY_UNKNOWN, DEFINITION_CONFLICT
 */
export function planDefinitions(stored: Catalogue, wanted: readonly StoredDefinition[]): PlannedChange[] {
  const entities = new Map(stored.entities);
  const views = new Map(stored.views);
  const changes: PlannedChange[] = [];
  refuseRepeats(wanted);
  for (const definition of wanted) {
    if (definition.kind !== 'Entity') continue;
    const before = entities.get(definition.name);
    checkEntity(definition, before?.definition, views);
    changes.push(record(entities, definition, before, []));
  }
  for (const definition of wanted) {
    if (definition.kind !== 'FeatureView') continue;
    const before = views.get(definition.name);
    checkView(definition, entities);
    if (before) checkEvolution(definition.name, before.definition.spec, definition.spec);
    const known = new Set(before?.definition.spec.features.map((f) => f.name));
    changes.push(record(views, definition, before, before ? definition.spec.features.filter((f) => !known.has(f.name)) : []));
  }
  return changes;
}

function record<D extends StoredDefinition>(
  map: Map<string, Versioned<D>>,
  definition: D,
  before: Versioned<D> | undefined,
  addedFields: readonly Field[],
): PlannedChange {
  if (before?.definition.contentHash === definition.contentHash)
    return { definition, change: 'unchanged', version: before.version, addedFields: [] };
  const version = (before?.version ?? 0) + 1;
  map.set(definition.name, { definition, version });
  return { definition, change: before ? 'updated' : 'created', version, addedFields };
}

function refuseRepeats(wanted: readonly StoredDefinition[]): void {
  const seen = new Set<string>();
  for (const { kind, name } of wanted) {
    if (seen.has(`${kind} ${name}`)) throw invalid(`${kind} ${name} is defined twice in one request`);
    seen.add(`${kind} ${name}`);
  }
}

function checkEntity(entity: EntityDefinition, before: EntityDefinition | undefined, views: Catalogue['views']): void {
  const { joinKeys } = entity.spec;
  if (new Set(joinKeys).size !== joinKeys.length)
    throw invalid(`Entity ${entity.name}: join keys must be unique, got ${joinKeys.join(', ')}`);
  const taken = joinKeys.find((key) => key === 'event_time' || key === 'label');
  if (taken) throw invalid(`Entity ${entity.name}: a join key cannot be called ${taken}; training sets have a column of that name`);
  if (!before || before.spec.joinKeys.join() === joinKeys.join()) return;
  const user = [...views.values()].find((v) => v.definition.spec.entity === entity.name);
  if (user) {
    throw conflict(
      `Entity ${entity.name}: join keys cannot change from ${before.spec.joinKeys.join(', ')} to ${joinKeys.join(', ')}, because rows of view ${user.definition.name} are stored under the old ones; define a new entity`,
    );
  }
}

/** Postgres keeps a row on one page of 8 kB; long texts go elsewhere and leave a pointer, numbers cannot. */
const ROW_BYTES_MAX = 6_500;
const NUMBER_BYTES = 8;
const TEXT_POINTER_BYTES = 20;

function checkView(view: FeatureViewDefinition, entities: Catalogue['entities']): void {
  if (!entities.has(view.spec.entity)) {
    throw new AppError(
      'ENTITY_UNKNOWN',
      `FeatureView ${view.name}: entity ${view.spec.entity} is not defined; apply it first or in the same request`,
      { details: { view: view.name, entity: view.spec.entity } },
    );
  }
  const rowBytes = view.spec.features.reduce((sum, f) => sum + (f.type === 'string' ? TEXT_POINTER_BYTES : NUMBER_BYTES), 0);
  if (rowBytes > ROW_BYTES_MAX)
    throw invalid(
      `FeatureView ${view.name}: its ${view.spec.features.length} features take ${rowBytes} bytes a row, and at most ${ROW_BYTES_MAX} fit; split the view`,
    );
  for (const { name, type, min, max, oneOf } of view.spec.features) {
    const at = `FeatureView ${view.name}: feature ${name}`;
    if (RESERVED_COLUMNS.has(name)) throw invalid(`${at}: Postgres keeps this name for itself; choose another`);
    const numeric = type === 'int64' || type === 'float64';
    if (!numeric && (min !== undefined || max !== undefined))
      throw invalid(`${at}: min and max apply to int64 and float64, not to ${type}`);
    if (min !== undefined && max !== undefined && min > max) throw invalid(`${at}: min ${min} is above max ${max}`);
    if (oneOf?.some((value) => typeof value !== (type === 'string' ? 'string' : 'number')) || (oneOf && !numeric && type !== 'string')) {
      throw invalid(`${at}: oneOf must list values of type ${type}, and applies to string, int64 and float64`);
    }
  }
}

/** Stored rows must stay readable under the new definition, online and offline. */
function checkEvolution(view: string, before: ViewSpec, after: ViewSpec): void {
  const rename = `define a view of another name for it`;
  if (before.entity !== after.entity) {
    throw conflict(
      `FeatureView ${view}: the entity cannot change from ${before.entity} to ${after.entity}, because rows are stored under the old one; ${rename}`,
    );
  }
  const next = new Map(after.features.map((f) => [f.name, f]));
  const known = new Set(before.features.map((f) => f.name));
  for (const old of before.features) {
    const field = next.get(old.name);
    if (!field)
      throw conflict(
        `FeatureView ${view}: feature ${old.name} cannot be removed, because stored rows and training sets hold it; ${rename}`,
      );
    if (field.type !== old.type)
      throw conflict(
        `FeatureView ${view}: feature ${old.name} cannot change from ${old.type} to ${field.type}, because stored rows hold ${old.type}; add a feature of another name`,
      );
  }
  const strict = after.features.find((f) => !known.has(f.name) && !f.nullable);
  if (strict)
    throw conflict(
      `FeatureView ${view}: the new feature ${strict.name} must be nullable, because rows that are stored already have no value for it`,
    );
}

function invalid(message: string): AppError {
  return new AppError('DEFINITION_INVALID', message);
}

function conflict(message: string): AppError {
  return new AppError('DEFINITION_CONFLICT', message);
}
