import { AppError } from '@headrace/base/errors';
import { DEFAULT_PROJECT } from '@headrace/base/ids';
import type { PredictRequestView } from '@headrace/codec/predict-request';
import type { PredictReplies, ServedModel } from '../domain/predict-job.js';
import { shareOf } from '../domain/routing-hash.js';
import { armOf, RoutingTable, type ModelRoutes } from '../domain/routing-table.js';

/** Metadata of a call that routes it by hand; the version in the request itself wins over all of them. */
export const VERSION_HEADER = 'headrace-version';
export const ARM_HEADER = 'headrace-arm';
/** A key to route by in the place of the entity: what has the same key gets the same arm. */
export const KEY_HEADER = 'headrace-routing-key';

/** More of a key than this is not looked at. */
const KEY_BYTES_MAX = 1_024;

export interface FoundRoute {
  readonly model: ServedModel;
  readonly arm: string;
  /** The request is copied to it as well. */
  readonly shadow: ServedModel | undefined;
}

/**
 * Finds the version for a request. The table is replaced whole (`table = ...` is the swap); requests for the model of the request
 * before are found by comparing bytes, without making a string.
 */
export class RouteFinder {
  #table: RoutingTable<ServedModel> = RoutingTable.empty();
  /** Asked before a request is refused because no version is there: why else it cannot be answered now. */
  missing: (project: string, model: string, version: number) => AppError | undefined = () => undefined;
  #lastRoutes: ModelRoutes<ServedModel> | undefined;
  #lastProject = new Uint8Array(0);
  #lastModel = new Uint8Array(0);
  #turn = 0;
  readonly #keyBytes = new Uint8Array(KEY_BYTES_MAX);
  readonly #found: Mutable<FoundRoute> = { model: undefined as unknown as ServedModel, arm: '', shadow: undefined };

  get table(): RoutingTable<ServedModel> {
    return this.#table;
  }

  set table(table: RoutingTable<ServedModel>) {
    this.#table = table;
    this.#lastRoutes = undefined;
  }

  /** A version that answers here; 0 = the champion, whatever the policy. @throws AppError MODEL_NOT_LOADED, VERSION_UNKNOWN */
  versionOf(project: string, model: string, version: number): ServedModel {
    const named = { project, model, version };
    const routes = this.#routesOf(named);
    return this.#is(version === 0 ? routes.champion : routes.versions.get(version), '', named, version).model;
  }

  /**
   * For requests whose names are texts already; `version` 0 = whom the policy says. Headers as in `find`; without a routing key the caller's id
   * is the key, and without an id the request takes its turn. Such requests are not copied to a shadow. @throws as `find`
   */
  findNamed(project: string, model: string, version: number, id: string, headerOf: (name: string) => string): Omit<FoundRoute, 'shadow'> {
    const asked = version > 0 ? version : versionIn(headerOf(VERSION_HEADER));
    const named = { project, model, version: asked };
    const routes = this.#routesOf(named);
    if (asked > 0) return { ...this.#is(routes.versions.get(asked), 'pinned', named, asked) };
    const armName = headerOf(ARM_HEADER);
    if (armName !== '') return { ...this.#byName(routes, armName, named) };
    const arm = routes.arms.length > 0 ? armOf(routes, this.#shareOfText(routes.seed, headerOf(KEY_HEADER) || id)) : undefined;
    return { ...this.#is(arm?.version ?? routes.champion, arm?.name ?? 'champion', named, 0) };
  }

  /** The answer is overwritten by the next call. @throws AppError MODEL_NOT_LOADED, VERSION_UNKNOWN, REQUEST_INVALID */
  find(view: PredictRequestView, replies: PredictReplies, reply: number): FoundRoute {
    const routes = this.#isSameAsLast(view) ? this.#lastRoutes! : this.#lookUp(view);
    const found = this.#found;
    found.shadow = undefined;
    const version = view.version > 0 ? view.version : versionIn(replies.headerOf(reply, VERSION_HEADER));
    if (version > 0) return this.#is(routes.versions.get(version), 'pinned', view, version);
    const armName = replies.headerOf(reply, ARM_HEADER);
    if (armName !== '') this.#byName(routes, armName, view);
    else {
      const arm = routes.arms.length > 0 ? armOf(routes, this.#share(routes.seed, view, replies, reply)) : undefined;
      this.#is(arm?.version ?? routes.champion, arm?.name ?? 'champion', view, 0);
    }
    const { shadow } = routes;
    if (shadow && shadow.version !== found.model && this.#share(shadow.seed, view, replies, reply) < shadow.upTo)
      found.shadow = shadow.version;
    return found;
  }

  #byName(routes: ModelRoutes<ServedModel>, name: string, view: Named): FoundRoute {
    if (name === 'champion') return this.#is(routes.champion, name, view, 0);
    const arm = routes.arms.find((one) => one.name === name);
    if (!arm?.version)
      throw new AppError(
        'REQUEST_INVALID',
        `${ARM_HEADER} is ${JSON.stringify(name)}; model ${view.model} has ${['champion', ...routes.arms.map((one) => one.name)].join(', ')}`,
        { details: { model: view.model } },
      );
    return this.#is(arm.version, arm.name, view, 0);
  }

  #is(model: ServedModel | undefined, arm: string, view: Named, version: number): FoundRoute {
    if (!model) throw this.missing(view.project || DEFAULT_PROJECT, view.model, version) ?? notThere(view, version);
    this.#found.model = model;
    this.#found.arm = arm;
    return this.#found;
  }

  #share(seed: number, view: PredictRequestView, replies: PredictReplies, reply: number): number {
    const key = replies.headerOf(reply, KEY_HEADER);
    if (key !== '') return this.#shareOfText(seed, key);
    if (view.entityCount > 0) return shareOf(seed, view.bytes, view.entityStart, view.entityEnd);
    if (view.idEnd > view.idStart) return shareOf(seed, view.bytes, view.idStart, view.idEnd);
    return this.#shareOfTurn(seed);
  }

  #shareOfText(seed: number, key: string): number {
    if (key === '') return this.#shareOfTurn(seed);
    return shareOf(seed, this.#keyBytes, 0, ENCODER.encodeInto(key, this.#keyBytes).written);
  }

  #shareOfTurn(seed: number): number {
    const turn = this.#turn++;
    for (let i = 0; i < 4; i++) this.#keyBytes[i] = turn >>> (8 * i);
    return shareOf(seed, this.#keyBytes, 0, 4);
  }

  #lookUp(view: PredictRequestView): ModelRoutes<ServedModel> {
    const routes = this.#routesOf(view);
    this.#lastRoutes = routes;
    this.#lastProject = copyOf(view.bytes, view.projectStart, view.projectEnd);
    this.#lastModel = copyOf(view.bytes, view.modelStart, view.modelEnd);
    return routes;
  }

  #routesOf({ project, model, version }: Named): ModelRoutes<ServedModel> {
    if (model === '') throw new AppError('REQUEST_INVALID', '`model` is empty; name the model');
    const tenant = project || DEFAULT_PROJECT;
    const routes = this.#table.routesOf(tenant, model);
    if (routes) return routes;
    const notServed = (): AppError =>
      new AppError('MODEL_NOT_LOADED', `no version of model ${model} is served here (project ${tenant})`, { details: { model } });
    throw this.missing(tenant, model, version) ?? notServed();
  }

  #isSameAsLast(view: PredictRequestView): boolean {
    return (
      this.#lastRoutes !== undefined &&
      equal(view.bytes, view.modelStart, view.modelEnd, this.#lastModel) &&
      equal(view.bytes, view.projectStart, view.projectEnd, this.#lastProject)
    );
  }
}

/** `slice` of a Buffer is no copy, and the receive buffer is overwritten by the requests to come. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.prototype.slice.call(bytes, start, end) as Uint8Array<ArrayBuffer>;
}

const ENCODER = new TextEncoder();

function versionIn(header: string): number {
  if (header === '') return 0;
  const version = Number(header);
  if (Number.isInteger(version) && version > 0) return version;
  throw new AppError('REQUEST_INVALID', `${VERSION_HEADER} is ${JSON.stringify(header.slice(0, 40))}; it is a whole number from 1`);
}

function notThere({ model }: { readonly model: string }, version: number): AppError {
  if (version === 0)
    return new AppError('MODEL_NOT_LOADED', `model ${model} has no champion here; name a version, or promote one`, { details: { model } });
  return new AppError(
    'VERSION_UNKNOWN',
    `version ${version} of model ${model} is not loaded here; load it (ServingAdmin.LoadVersion) or leave the version out`,
    { details: { model, version: String(version) } },
  );
}

function equal(bytes: Uint8Array, start: number, end: number, other: Uint8Array): boolean {
  if (end - start !== other.length) return false;
  for (let i = 0; i < other.length; i++) if (bytes[start + i] !== other[i]) return false;
  return true;
}

/** '' is the default project, 0 no version. */
type Named = Pick<PredictRequestView, 'project' | 'model' | 'version'>;

type Mutable<T> = { -readonly [P in keyof T]: T[P] };
