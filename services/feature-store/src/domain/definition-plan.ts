import { AppError, type ErrorCode } from '@headrace/base/errors';
import type {
  EntityDefinition,
  FeatureServiceDefinition,
  FeatureViewDefinition,
  OnDemandViewDefinition,
} from '@headrace/definitions/definition';
import { diffSpecs, type FieldDifference } from '@headrace/definitions/definition-diff';
import { resolveService } from '@headrace/definitions/feature-service';
import { usersOf, userTexts, type FeatureUser, type ModelUse } from './definition-users.js';
import { featureNames } from './feature-service.js';
import { RESERVED_COLUMNS } from './identifier.js';
import { vectorFaults } from './service-vector.js';
import { compileOnDemand } from './transform.js';
import type { Field, ViewSpec } from './view.js';

export type StoredDefinition = EntityDefinition | FeatureViewDefinition | OnDemandViewDefinition | FeatureServiceDefinition;

/** Newest versions of a project's definitions. */
export interface Catalogue {
  readonly entities: ReadonlyMap<string, Versioned<EntityDefinition>>;
  readonly views: ReadonlyMap<string, Versioned<FeatureViewDefinition>>;
  readonly transforms: ReadonlyMap<string, Versioned<OnDemandViewDefinition>>;
  readonly services: ReadonlyMap<string, Versioned<FeatureServiceDefinition>>;
  /** By view: every feature that a version of it ever had. Its column stays, so the name keeps its type. */
  readonly fieldsEver: ReadonlyMap<string, ReadonlyMap<string, Field>>;
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
  /** Of an update: what changes, down to the field. */
  readonly differences: readonly FieldDifference[];
  /** Who reads what changes, such as `Model employment`. */
  readonly affected: readonly string[];
}

export interface PlanOptions {
  /** What the models of the registry read; unset = it was not asked, because nothing is taken away. */
  readonly models?: readonly ModelUse[];
  /** Features may be taken away from who reads them. */
  readonly allowBreaking?: boolean;
}

/** Why a plan is refused; all reasons are told together. */
interface PlanFault {
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * What applying the definitions would do, entities first, then views, on-demand views and services, as one unit: either all of it is legal or none
 * happens. @throws AppError DEFINITION_INVALID, ENTITY_UNKNOWN, DEFINITION_CONFLICT with every reason
 */
export function planDefinitions(stored: Catalogue, wanted: readonly StoredDefinition[], options: PlanOptions = {}): PlannedChange[] {
  const entities = new Map(stored.entities);
  const views = new Map(stored.views);
  const transforms = new Map(stored.transforms);
  const services = new Map(stored.services);
  const changes: PlannedChange[] = [];
  const faults = repeatFaults(wanted);
  for (const definition of wanted) {
    if (definition.kind !== 'Entity') continue;
    const before = entities.get(definition.name);
    faults.push(...entityFaults(definition, before?.definition, views));
    changes.push(record(entities, definition, before, []));
  }
  for (const definition of wanted) {
    if (definition.kind !== 'FeatureView') continue;
    const before = views.get(definition.name);
    faults.push(...viewFaults(definition, entities));
    const ever = stored.fieldsEver.get(definition.name);
    if (before) faults.push(...evolutionFaults(definition.name, before.definition.spec, definition.spec, ever ?? new Map<string, Field>()));
    changes.push(record(views, definition, before, before ? definition.spec.features.filter((f) => !ever?.has(f.name)) : []));
  }
  for (const definition of wanted) {
    if (definition.kind !== 'OnDemandView') continue;
    faults.push(...transformFaults(definition, views));
    changes.push(record(transforms, definition, transforms.get(definition.name), []));
  }
  faults.push(...nameFaults(wanted, views, transforms));
  for (const definition of wanted) {
    if (definition.kind !== 'FeatureService') continue;
    faults.push(...serviceFaults(definition, views, transforms));
    changes.push(record(services, definition, services.get(definition.name), []));
  }
  const users = (view: string): FeatureUser[] => usersOf(view, { transforms, services }, options.models ?? []);
  if (options.allowBreaking !== true)
    faults.push(...takenAway(stored, wanted).flatMap((taken) => breakingFaults(taken, users(taken.view))));
  const [first] = faults;
  if (first) throw new AppError(first.code, faults.map(({ message }) => message).join('\n'));
  return changes.map((change) => ({ ...change, affected: affectedBy(change, users(change.definition.name)) }));
}

export interface TakenAway {
  readonly view: string;
  readonly features: readonly string[];
}

/** Features that views would lose. */
export function takenAway(stored: Pick<Catalogue, 'views' | 'transforms'>, wanted: readonly StoredDefinition[]): TakenAway[] {
  return wanted.flatMap(({ kind, name, spec }) => {
    const of = kind === 'FeatureView' ? stored.views : kind === 'OnDemandView' ? stored.transforms : undefined;
    const before = of?.get(name)?.definition;
    if (!before) return [];
    const [had, has] = [before, { kind, spec }].map((one) => namesOf(one as typeof before));
    const features = had!.filter((feature) => !has!.includes(feature));
    return features.length > 0 ? [{ view: name, features }] : [];
  });
}

function namesOf(definition: Pick<FeatureViewDefinition, 'kind' | 'spec'> | Pick<OnDemandViewDefinition, 'kind' | 'spec'>): string[] {
  return definition.kind === 'FeatureView' ? featureNames(definition, undefined)! : featureNames(undefined, definition)!;
}

function breakingFaults({ view, features }: TakenAway, users: readonly FeatureUser[]): PlanFault[] {
  return features.flatMap((feature) => {
    const texts = userTexts(users.filter((user) => user.feature === feature));
    if (texts.length === 0) return [];
    return [
      conflict(
        `${view}:${feature} cannot be removed, because ${texts.join(', ')} use${texts.length === 1 ? 's' : ''} it; change that first, or say that it may break (--allow-breaking)`,
      ),
    ];
  });
}

/** Of a change of some features their readers, of any other change all readers. */
function affectedBy(
  { definition, differences }: Pick<PlannedChange, 'definition' | 'differences'>,
  users: readonly FeatureUser[],
): string[] {
  if (differences.length === 0 || definition.kind === 'Entity' || definition.kind === 'FeatureService') return [];
  const touched = new Set(differences.map(({ path }) => (path.startsWith('features.') ? path.split('.')[1] : undefined)));
  return userTexts(users.filter((user) => touched.has(undefined) || user.feature === undefined || touched.has(user.feature)));
}

function record<D extends StoredDefinition>(
  map: Map<string, Versioned<D>>,
  definition: D,
  before: Versioned<D> | undefined,
  addedFields: readonly Field[],
): PlannedChange {
  if (before?.definition.contentHash === definition.contentHash)
    return { definition, change: 'unchanged', version: before.version, addedFields: [], differences: [], affected: [] };
  const version = (before?.version ?? 0) + 1;
  map.set(definition.name, { definition, version });
  const differences = before ? diffSpecs(before.definition.spec, definition.spec) : [];
  return { definition, change: before ? 'updated' : 'created', version, addedFields, differences, affected: [] };
}

function repeatFaults(wanted: readonly StoredDefinition[]): PlanFault[] {
  const seen = new Set<string>();
  return wanted.flatMap(({ kind, name }) => {
    const isRepeated = seen.has(`${kind} ${name}`);
    seen.add(`${kind} ${name}`);
    return isRepeated ? [invalid(`${kind} ${name} is defined twice in one request; remove one of them`)] : [];
  });
}

function entityFaults(entity: EntityDefinition, before: EntityDefinition | undefined, views: Catalogue['views']): PlanFault[] {
  const { joinKeys } = entity.spec;
  if (!before || before.spec.joinKeys.join() === joinKeys.join()) return [];
  const user = [...views.values()].find((v) => v.definition.spec.entity === entity.name);
  if (!user) return [];
  return [
    conflict(
      `Entity ${entity.name}: join keys cannot change from ${before.spec.joinKeys.join(', ')} to ${joinKeys.join(', ')}, because rows of view ${user.definition.name} are stored under the old ones; define a new entity`,
    ),
  ];
}

/** `view:feature` must name one thing. */
function nameFaults(wanted: readonly StoredDefinition[], views: Catalogue['views'], transforms: Catalogue['transforms']): PlanFault[] {
  const both = wanted.filter(({ kind, name }) => kind !== 'Entity' && kind !== 'FeatureService' && views.has(name) && transforms.has(name));
  return [...new Set(both.map(({ name }) => name))].map((name) =>
    invalid(`${name} would be a FeatureView and an OnDemandView at once; rename one of them`),
  );
}

function transformFaults({ name, spec }: OnDemandViewDefinition, views: Catalogue['views']): PlanFault[] {
  const compiled = compileOnDemand(spec, (view) => views.get(view)?.definition);
  return 'faults' in compiled ? compiled.faults.map((fault) => invalid(`OnDemandView ${name}: ${fault}`)) : [];
}

function serviceFaults(
  { name, spec }: FeatureServiceDefinition,
  views: Catalogue['views'],
  transforms: Catalogue['transforms'],
): PlanFault[] {
  const { features, faults } = resolveService(spec, (view) => featureNames(views.get(view)?.definition, transforms.get(view)?.definition));
  const labels = [...new Set(features.map(({ view }) => view))].filter((view) => views.get(view)?.definition.spec.labels);
  return [
    ...faults,
    ...labels.map((view) => `view ${view} holds labels, and a model must not see the answer; pick other features`),
    ...(faults.length > 0 ? [] : vectorFaults(spec, (view) => views.get(view)?.definition)),
  ].map((fault) => invalid(`FeatureService ${name}: ${fault}`));
}

/** Postgres keeps a row on one page of 8 kB; long texts and lists go elsewhere and leave a pointer, numbers cannot. */
const ROW_BYTES_MAX = 6_500;
const NUMBER_BYTES = 8;
const TEXT_POINTER_BYTES = 20;

function viewFaults({ name: view, spec }: FeatureViewDefinition, entities: Catalogue['entities']): PlanFault[] {
  const faults: PlanFault[] = [];
  if (!entities.has(spec.entity)) {
    faults.push({
      code: 'ENTITY_UNKNOWN',
      message: `FeatureView ${view}: entity ${spec.entity} is not defined; apply it first or in the same request`,
    });
  }
  const isLong = (f: Field): boolean => f.type === 'string' || f.type === 'embedding';
  const rowBytes = spec.features.reduce((sum, f) => sum + (isLong(f) ? TEXT_POINTER_BYTES : NUMBER_BYTES), 0);
  if (rowBytes > ROW_BYTES_MAX)
    faults.push(
      invalid(
        `FeatureView ${view}: its ${spec.features.length} features take ${rowBytes} bytes a row, and at most ${ROW_BYTES_MAX} fit; split the view`,
      ),
    );
  for (const { name } of spec.features) {
    if (RESERVED_COLUMNS.has(name))
      faults.push(invalid(`FeatureView ${view}: feature ${name}: Postgres keeps this name for itself; choose another`));
  }
  return faults;
}

/** Stored rows must stay readable under the new definition, online and offline. */
function evolutionFaults(view: string, before: ViewSpec, after: ViewSpec, ever: ReadonlyMap<string, Field>): PlanFault[] {
  const faults: string[] = [];
  if (before.entity !== after.entity)
    faults.push(
      `the entity cannot change from ${before.entity} to ${after.entity}, because rows are stored under the old one; define a view of another name for it`,
    );
  const known = new Set(before.features.map((f) => f.name));
  for (const field of after.features) {
    const old = ever.get(field.name);
    if (old && typeText(field) !== typeText(old))
      faults.push(
        `feature ${field.name} cannot change from ${typeText(old)} to ${typeText(field)}, because stored rows hold ${typeText(old)}; add a feature of another name`,
      );
    if (!known.has(field.name) && !field.nullable)
      faults.push(`the new feature ${field.name} must be nullable, because rows that are stored already have no value for it`);
  }
  return faults.map((fault) => conflict(`FeatureView ${view}: ${fault}`));
}

function typeText({ type, dimension }: Field): string {
  return dimension === undefined ? type : `${type} of dimension ${dimension}`;
}

function invalid(message: string): PlanFault {
  return { code: 'DEFINITION_INVALID', message };
}

function conflict(message: string): PlanFault {
  return { code: 'DEFINITION_CONFLICT', message };
}
