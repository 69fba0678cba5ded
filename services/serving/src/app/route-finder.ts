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

  #byName(routes: ModelRoutes<ServedModel>, name: string, view: PredictRequestView): void {
    if (name === 'champion') {
      this.#is(routes.champion, name, view, 0);
      return;
    }
    const arm = routes.arms.find((one) => one.name === name);
    if (!arm?.version)
      throw new AppError(
        'REQUEST_INVALID',
        `${ARM_HEADER} is ${JSON.stringify(name)}; model ${view.model} has ${['champion', ...routes.arms.map((one) => one.name)].join(', ')}`,
        { details: { model: view.model } },
      );
    this.#is(arm.version, arm.name, view, 0);
  }

  #is(model: ServedModel | undefined, arm: string, view: PredictRequestView, version: number): FoundRoute {
    if (!model) throw this.missing(view.project || DEFAULT_PROJECT, view.model, version) ?? notThere(view, version);
    this.#found.model = model;
    this.#found.arm = arm;
    return this.#found;
  }

  #share(seed: number, view: PredictRequestView, replies: PredictReplies, reply: number): number {
    const key = replies.headerOf(reply, KEY_HEADER);
    if (key !== '') return shareOf(seed, this.#keyBytes, 0, ENCODER.encodeInto(key, this.#keyBytes).written);
    if (view.entityCount > 0) return shareOf(seed, view.bytes, view.entityStart, view.entityEnd);
    if (view.idEnd > view.idStart) return shareOf(seed, view.bytes, view.idStart, view.idEnd);
    const turn = this.#turn++;
    for (let i = 0; i < 4; i++) this.#keyBytes[i] = turn >>> (8 * i);
    return shareOf(seed, this.#keyBytes, 0, 4);
  }

  #lookUp(view: PredictRequestView): ModelRoutes<ServedModel> {
    if (view.model === '') throw new AppError('REQUEST_INVALID', '`model` is empty; name the model');
    const routes = this.#table.routesOf(view.project || DEFAULT_PROJECT, view.model);
    if (!routes)
      throw (
        this.missing(view.project || DEFAULT_PROJECT, view.model, view.version) ??
        new AppError('MODEL_NOT_LOADED', `no version of model ${view.model} is served here (project ${view.project || DEFAULT_PROJECT})`, {
          details: { model: view.model },
        })
      );
    this.#lastRoutes = routes;
    this.#lastProject = copyOf(view.bytes, view.projectStart, view.projectEnd);
    this.#lastModel = copyOf(view.bytes, view.modelStart, view.modelEnd);
    return routes;
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

function notThere(view: PredictRequestView, version: number): AppError {
  const { model } = view;
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

type Mutable<T> = { -readonly [P in keyof T]: T[P] };
