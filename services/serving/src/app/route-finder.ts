import { AppError } from '@headrace/base/errors';
import { DEFAULT_PROJECT } from '@headrace/base/ids';
import type { PredictRequestView } from '@headrace/codec/predict-request';
import { RoutingTable, type ModelRoutes } from '../domain/routing-table.js';
import type { Arm, ServedModel } from '../domain/predict-job.js';

/**
 * Finds the version for a request. The table is replaced whole (`table = ...` is the swap); requests for the model of the request
 * before are found by comparing bytes, without making a string.
 */
export class RouteFinder {
  #table: RoutingTable<ServedModel> = RoutingTable.empty();
  #lastRoutes: ModelRoutes<ServedModel> | undefined;
  #lastProject = new Uint8Array(0);
  #lastModel = new Uint8Array(0);
  readonly #found: { model: ServedModel; arm: Arm } = { model: undefined as unknown as ServedModel, arm: 'champion' };

  get table(): RoutingTable<ServedModel> {
    return this.#table;
  }

  set table(table: RoutingTable<ServedModel>) {
    this.#table = table;
    this.#lastRoutes = undefined;
  }

  /** The answer is overwritten by the next call. @throws AppError MODEL_NOT_LOADED, VERSION_UNKNOWN */
  find(view: PredictRequestView): { readonly model: ServedModel; readonly arm: Arm } {
    const routes = this.#isSameAsLast(view) ? this.#lastRoutes! : this.#lookUp(view);
    const model = view.version === 0 ? routes.champion : routes.versions.get(view.version);
    if (!model) throw notThere(view);
    this.#found.model = model;
    this.#found.arm = view.version === 0 ? 'champion' : 'pinned';
    return this.#found;
  }

  #lookUp(view: PredictRequestView): ModelRoutes<ServedModel> {
    if (view.model === '') throw new AppError('REQUEST_INVALID', '`model` is empty; name the model');
    const routes = this.#table.routesOf(view.project || DEFAULT_PROJECT, view.model);
    if (!routes)
      throw new AppError(
        'MODEL_NOT_LOADED',
        `no version of model ${view.model} is served here (project ${view.project || DEFAULT_PROJECT})`,
        { details: { model: view.model } },
      );
    this.#lastRoutes = routes;
    this.#lastProject = view.bytes.slice(view.projectStart, view.projectEnd);
    this.#lastModel = view.bytes.slice(view.modelStart, view.modelEnd);
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

function notThere(view: PredictRequestView): AppError {
  const { model, version } = view;
  if (version === 0)
    return new AppError('MODEL_NOT_LOADED', `model ${model} has no champion here; name a version, or promote one`, { details: { model } });
  return new AppError(
    'VERSION_UNKNOWN',
    `version ${version} of model ${model} is not loaded here; load it (ServingAdmin.LoadVersion) or leave the version out`,
    { details: { model, version: String(version) } },
  );
}

/** A copied Uint8Array is compared, because names are short and a call into the runtime costs more. */
function equal(bytes: Uint8Array, start: number, end: number, other: Uint8Array): boolean {
  if (end - start !== other.length) return false;
  for (let i = 0; i < other.length; i++) if (bytes[start + i] !== other[i]) return false;
  return true;
}
