import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { AppError, type ErrorCode } from '@headrace/base/errors';
import { joinEntityKey, onlineKey } from '@headrace/codec/feature-key';
import { splitVector } from '@headrace/codec/feature-vector';
import type { ValueType } from '@headrace/definitions/feature-field';
import { featureReference, splitReference } from '@headrace/definitions/reference';
import { CLOCK } from '@headrace/platform/platform-module';
import { LIMITS, type Limits } from '../config.js';
import { referencesOf as serviceReferences } from '../domain/feature-service.js';
import { isKnownLayout, isUnreadable, readerOf, type OnlinePart } from '../domain/online-part.js';
import type { OnlineValue } from '../domain/online-vector.js';
import { vectorKeyOf, type ServiceVector } from '../domain/service-vector.js';
import type { View } from '../domain/view.js';
import { windowsKey } from '../domain/window-key.js';
import { requestInvalid } from '../errors.js';
import { OnlineStore } from '../io/online-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { ViewCatalogue, type Views } from './view-catalogue.js';

export interface OnlineRequest {
  readonly project: string;
  /** `view:feature` */
  readonly features: readonly string[];
  /** Instead of `features`: the name of a feature service. */
  readonly featureService?: string | undefined;
  /** Join key name -> value. */
  readonly entities: readonly Readonly<Record<string, string>>[];
}

export interface OnlineAnswer {
  /** What each value is called: the reference as it was asked for, or the name that the feature service gives. */
  readonly names: readonly string[];
  readonly types: readonly ValueType[];
  /** For each entity, its values in the order of the names. */
  readonly vectors: OnlineValue[][];
}

interface Wanted {
  readonly feature: string;
  /** Index into the parts of the request. */
  readonly part: number;
}

/** Values of any number of entities and views in one round trip to Redis. */
@Injectable()
export class GetOnlineFeatures {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly online: OnlineStore,
    private readonly telemetry: FeatureTelemetry,
    @Inject(LIMITS) private readonly limits: Limits,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @throws AppError REQUEST_INVALID, VIEW_UNKNOWN, FEATURE_SERVICE_UNKNOWN */
  async get(request: OnlineRequest): Promise<OnlineAnswer> {
    const startedAt = performance.now();
    // Views in memory may be a second old: what they do not know is looked up once in the newest before it is refused.
    const found = (await this.#tryRecent(request)) ?? (await this.#read(await this.catalogue.newest(), request));
    const vectors = this.#decode(found);
    this.telemetry.onlineRead((performance.now() - startedAt) / 1000, countStatuses(vectors));
    const types = found.wanted.map(({ feature, part }) => typeOf(found.parts[part]!.view, feature));
    return { names: found.names, types, vectors };
  }

  async #tryRecent(request: OnlineRequest): Promise<Found | undefined> {
    const recent = await this.catalogue.recent();
    try {
      const found = await this.#read(recent, request);
      return found.blobs.some((blob, i) => blob !== null && !isKnownLayout(partOf(found, i), blob)) ? undefined : found;
    } catch (error) {
      if (error instanceof AppError && UNKNOWN_HERE.has(error.code)) return undefined;
      throw error;
    }
  }

  async #read(all: Views, request: OnlineRequest): Promise<Found> {
    const { parts, wanted, names, vector } = plan(all, request);
    const keyCount = parts.length * request.entities.length;
    if (keyCount > this.limits.onlineKeysMax)
      throw requestInvalid(
        `${request.entities.length} entities of ${parts.length} views are ${keyCount} keys; at most ${this.limits.onlineKeysMax} may be read at once`,
      );
    const entityKeys = request.entities.map((entity, i) => parts.map((part) => entityKeyOf(part, entity, i)));
    const rowKeys = (e: number): string[] => parts.map((part, p) => keyOf(part, entityKeys[e]![p]!));
    const blobs = vector
      ? await this.#readVectors(
          vector,
          entityKeys.map(([entityKey]) => entityKey!),
          rowKeys,
        )
      : await this.online.read(entityKeys.flatMap((_, e) => rowKeys(e)));
    return { parts, wanted, names, blobs };
  }

  /** One key of an entity; the rows of those that have no vector of this version are read themselves. */
  async #readVectors(
    vector: ServiceVector,
    entityKeys: readonly string[],
    rowKeys: (entity: number) => readonly string[],
  ): Promise<(Buffer | null)[]> {
    const vectors = await this.online.read(entityKeys.map((entityKey) => vectorKeyOf(vector, entityKey)));
    const views = vector.views.length;
    const rows = new Array<Buffer | null>(vectors.length * views).fill(null);
    const without = vectors.flatMap((blob, e) => (splitVector(blob, vector.version, views, rows, e * views) ? [] : [e]));
    const read = await this.online.read(without.flatMap(rowKeys));
    for (const [n, e] of without.entries()) for (let v = 0; v < views; v++) rows[e * views + v] = read[n * views + v]!;
    return rows;
  }

  #decode(found: Found): OnlineValue[][] {
    const { parts, wanted, blobs } = found;
    const nowMs = this.clock.nowMs();
    for (const [i, blob] of blobs.entries())
      if (blob && isUnreadable(partOf(found, i), blob)) this.telemetry.unreadable(partOf(found, i).view.name);
    const readers = parts.map(readerOf);
    return Array.from({ length: blobs.length / parts.length }, (_, e) => {
      for (const [p, reader] of readers.entries()) reader.over(blobs[e * parts.length + p]!, nowMs);
      return wanted.map(({ feature, part }) => readers[part]!.value(feature));
    });
  }
}

/** What another process may have applied since. */
const UNKNOWN_HERE: ReadonlySet<ErrorCode> = new Set(['VIEW_UNKNOWN', 'FEATURE_SERVICE_UNKNOWN', 'REQUEST_INVALID']);

/** What Redis gave: for each entity one blob for each part. */
interface Found {
  readonly parts: readonly OnlinePart[];
  readonly wanted: readonly Wanted[];
  readonly names: readonly string[];
  readonly blobs: readonly (Buffer | null)[];
}

function partOf({ parts }: Found, blobIndex: number): OnlinePart {
  return parts[blobIndex % parts.length]!;
}

export interface ReadPlan {
  readonly parts: OnlinePart[];
  readonly wanted: Wanted[];
  readonly names: string[];
  /** Holds all parts of an entity; undefined when they are to be read one by one. */
  readonly vector: ServiceVector | undefined;
}

/** Which keys a request needs, and where each value comes from. @throws AppError REQUEST_INVALID, VIEW_UNKNOWN, FEATURE_SERVICE_UNKNOWN */
export function plan(all: Views, request: OnlineRequest): ReadPlan {
  const { project } = request;
  const { references: features, names } = referencesOf(all, request);
  const parts: OnlinePart[] = [];
  const wanted = features.map((reference): Wanted => {
    if (!featureReference.safeParse(reference).success)
      throw requestInvalid(`${JSON.stringify(reference)} is no feature reference; write \`view:feature\``);
    const { view: name, feature } = splitReference(reference);
    const view = all.get(project, name);
    if (!view.spec.online) throw requestInvalid(`view ${name} is kept offline only; it cannot be read online`);
    const kind = kindOf(view, feature);
    let part = parts.findIndex((known) => known.view === view && known.kind === kind);
    if (part < 0) part = parts.push({ view, kind }) - 1;
    return { feature, part };
  });
  const vector = request.featureService ? all.vector(project, request.featureService) : undefined;
  return { parts, wanted, names, vector: vector && holdsExactly(vector, parts) ? vector : undefined };
}

function typeOf({ spec, aggregations }: View, feature: string): ValueType {
  return [...spec.features, ...aggregations].find(({ name }) => name === feature)!.type;
}

/** Not so when a view of the service has got windows since: those are read beside its rows. */
function holdsExactly({ views }: ServiceVector, parts: readonly OnlinePart[]): boolean {
  return parts.length === views.length && parts.every(({ kind, view }, i) => kind === 'row' && view.name === views[i]);
}

/** @throws AppError REQUEST_INVALID */
function kindOf(view: View, feature: string): OnlinePart['kind'] {
  if (view.fieldIndex.has(feature)) return 'row';
  if (view.windows?.indexOf.has(feature)) return 'windows';
  const known = [...view.spec.features, ...view.aggregations].map((f) => f.name).join(', ');
  throw requestInvalid(`view ${view.name} has no feature ${feature}; it has ${known}`);
}

/** The features of the request one by one, and what each is called in the answer. */
function referencesOf(
  all: Views,
  { project, features, featureService }: OnlineRequest,
): { references: readonly string[]; names: string[] } {
  if (!featureService) {
    if (features.length === 0) throw requestInvalid('`features` is empty; name at least one `view:feature`, or a feature service');
    return { references: features, names: [...features] };
  }
  if (features.length > 0) throw requestInvalid('`features` and `feature_service` exclude each other; send one of them');
  const service = all.service(project, featureService);
  return { references: serviceReferences(service), names: service.features.map(({ name }) => name) };
}

function entityKeyOf({ view }: OnlinePart, entity: Readonly<Record<string, string>>, index: number): string {
  const keys = view.joinKeys.map((name) => {
    const value = entity[name];
    if (value === undefined) throw requestInvalid(`entity ${index} lacks the join key ${name} of view ${view.name}`);
    return value;
  });
  return joinEntityKey(keys);
}

function keyOf({ view, kind }: OnlinePart, entityKey: string): string {
  return kind === 'row' ? onlineKey(view.project, view.entity, entityKey, view.name) : windowsKey(view, entityKey);
}

function countStatuses(vectors: readonly (readonly OnlineValue[])[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const vector of vectors) for (const { status } of vector) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
