import { AppError, toAppError } from '@headrace/base/errors';
import type { TensorInfo } from '@headrace/executor/tensor';
import type { Cause } from '@headrace/platform/kafka/cause';
import { mergeViews } from '../domain/entity-lookup.js';
import type { LogRules } from '../domain/log-rules.js';
import { LoadedModel, type LoadedParts } from '../domain/loaded-model.js';
import { ModelStatistics, type StatisticsBook } from '../domain/model-statistics.js';
import type { PredictJob, ServedModel } from '../domain/predict-job.js';
import { chooseLeavers } from '../domain/memory-budget.js';
import { checkPolicy, describePolicy, versionsIn, type RoutePolicy } from '../domain/route-policy.js';
import type { ModelRoutes } from '../domain/routing-table.js';
import { nameOf, type VersionDescription, type ViewSchema } from '../domain/version-description.js';
import type { SavedRouting } from '../io/routing-file.js';
import { lookupOf } from './open-version.js';
import { isDeepStrictEqual } from 'node:util';
import type { RouteFinder } from './route-finder.js';
import { RunPlaces, type Move } from './run-places.js';
import { Sleepers } from './sleepers.js';
import { Turns } from './turns.js';

/** Versions that one model may have loaded beside the champion and what its route names; the one loaded first goes when another comes. */
const PINNED_MAX = 4;
/** Failed loads that are remembered for ListLoaded. */
const FAILED_MAX = 20;

export interface HostDependencies {
  readonly routes: RouteFinder;
  /** How rows of the version are logged. */
  readonly logRulesOf: (description: VersionDescription) => LogRules | undefined;
  readonly open: (description: VersionDescription, signal: AbortSignal) => Promise<LoadedParts<PredictJob>>;
  readonly memory: { readonly budgetBytes: number; readonly keep: readonly string[] };
  readonly save: (routing: SavedRouting) => Promise<void>;
  readonly report: (change: RolloutStep, cause: Cause | undefined) => void;
  readonly statistics: StatisticsBook;
  readonly moved: (model: ServedModel, move: Move) => void;
  readonly nowMs: () => number;
}

/** A fact about a version in this process. */
export interface RolloutStep {
  readonly step: 'loaded' | 'swapped' | 'failed' | 'unloaded' | 'routed';
  readonly model: ServedModel;
  readonly previousVersion: number;
  readonly detail: string;
  /** Only of `swapped`: from the decision to the new routing. */
  readonly seconds?: number;
}

/**
 * Everything that is loaded in this process, and the only writer of the routing table. Loads of one model run one after the
 * other; a load that fails changes nothing but the list of failures.
 */
export class ModelHost {
  readonly #deps: HostDependencies;
  readonly #held = new Map<ServedModel, VersionDescription | undefined>();
  readonly #pinned = new Set<ServedModel>();
  readonly #turns = new Turns();
  readonly #heldOut = new Map<string, { readonly project: string; readonly model: string }>();
  readonly #closing = new AbortController();
  readonly #asleep: Sleepers;
  readonly #places: RunPlaces;

  constructor(dependencies: HostDependencies) {
    this.#deps = dependencies;
    this.#asleep = new Sleepers(dependencies.nowMs);
    this.#places = new RunPlaces({ isClosing: () => this.isClosing, moved: dependencies.moved });
    dependencies.routes.missing = (project, model, version) => this.#wake(project, model, version);
  }

  /** Loaded, loading, draining and lately failed versions; '' = of all projects. */
  list(project: string): ServedModel[] {
    return [...this.#held.keys()].filter((model) => project === '' || model.project === project);
  }

  /**
   * What a version that answers here was described as, what its graph gives, and how it is logged.
   * @param version 0 = the champion
   * @throws AppError MODEL_NOT_LOADED, VERSION_UNKNOWN, DEPENDENCY_UNAVAILABLE while one that slept is loaded again
   */
  describe(
    project: string,
    model: string,
    version: number,
  ): { readonly description: VersionDescription; readonly outputs: readonly TensorInfo[]; readonly logRules: LogRules | undefined } {
    const routes = this.#deps.routes.table.routesOf(project, model);
    const found = version === 0 ? routes?.champion : routes?.versions.get(version);
    const description = found && this.#held.get(found);
    if (description) return { description, outputs: found.parts.tensors.outputs, logRules: found.logRules };
    const notThere = (): AppError =>
      new AppError(
        routes && version > 0 ? 'VERSION_UNKNOWN' : 'MODEL_NOT_LOADED',
        `${version > 0 ? `version ${version}` : 'no champion'} of model ${model} is ${version > 0 ? 'not ' : ''}loaded here (project ${project})`,
        { details: { model } },
      );
    throw this.#wake(project, model, version) ?? notThere();
  }

  championOf(project: string, model: string): ServedModel | undefined {
    return this.#deps.routes.table.routesOf(project, model)?.champion;
  }

  isChampion(model: ServedModel): boolean {
    return this.championOf(model.project, model.model) === model;
  }

  /** Whether the version is the champion here, be it loaded or asleep. */
  hasChampion(project: string, model: string, version: number): boolean {
    return (this.championOf(project, model) ?? this.#asleep.of(project, model))?.version === version;
  }

  /** Whether requests find the model here, or wake it. */
  isServed(project: string, model: string): boolean {
    return this.#deps.routes.table.routesOf(project, model) !== undefined || this.#asleep.of(project, model) !== undefined;
  }

  /** Of all versions that are loaded, as their trials measured. */
  get residentBytes(): number {
    return [...this.#held.keys()].reduce((sum, model) => sum + residentBytesOf(model), 0);
  }

  /** The version answers from now on, and the former champion ends with its last request. Done at once when it is champion already. */
  serveChampion(description: VersionDescription, cause?: Cause): Promise<void> {
    return this.#inTurn(description, async () => {
      const startedAt = performance.now();
      const { project, model, version } = description;
      if (this.isHeldOut(project, model)) return;
      const previous = this.championOf(project, model);
      if (previous?.version === version) return;
      // An arm of a split goes on answering its share.
      if (previous && this.#isRouted(previous)) this.#pinned.add(previous);
      const next = this.#deps.routes.table.routesOf(project, model)?.versions.get(version) ?? (await this.#load(description, cause));
      const table = this.#deps.routes.table.withChampion(next);
      if (next.state === 'standby') next.step('routed');
      const sleeper = this.#asleep.remove(project, model);
      if (sleeper) this.#held.delete(sleeper);
      const step = sleeper?.version === version ? 'loaded' : 'swapped';
      // The swap: one assignment. Requests that were routed before it hold their version by a pin.
      this.#deps.routes.table = previous && !this.#pinned.has(previous) ? table.without(previous) : table;
      const seconds = (performance.now() - startedAt) / 1000;
      this.#deps.report({ step, model: next, previousVersion: previous?.version ?? 0, detail: '', seconds }, cause);
      if (previous && !this.#pinned.has(previous)) this.#retire(previous, cause);
      this.#makeRoom(next);
      await this.#save();
    });
  }

  /** Loads a version beside the champion, to be asked for by its number. */
  loadPinned(description: VersionDescription): Promise<ServedModel> {
    return this.#inTurn(description, async () => {
      const there = this.#deps.routes.table.routesOf(description.project, description.model)?.versions.get(description.version);
      const model = there ?? (await this.#load(description, undefined));
      this.#pinned.add(model);
      if (!there) {
        model.step('routed');
        this.#deps.routes.table = this.#deps.routes.table.withPinned(model);
        this.#deps.report({ step: 'loaded', model, previousVersion: 0, detail: '' }, undefined);
        this.#evictPinned(model);
        this.#makeRoom(model);
      }
      await this.#save();
      return model;
    });
  }

  /**
   * Who answers requests without a version, from now on. In turn with loads and swaps of the model, so that what was checked still holds.
   * @throws AppError MODEL_NOT_LOADED, VERSION_UNKNOWN, REQUEST_INVALID
   */
  setPolicy(project: string, model: string, policy: RoutePolicy, reason: string): Promise<ModelRoutes<ServedModel>> {
    return this.#inTurn({ project, model }, async () => {
      const { champion, versions } = this.routesOf(project, model);
      checkPolicy(policy, versions, champion?.version ?? 0);
      this.#deps.routes.table = this.#deps.routes.table.withPolicy(project, model, policy);
      const named = versions.get(versionsIn(policy)[0] ?? 0) ?? champion;
      const detail = `${describePolicy(policy)}${reason ? ` (${reason})` : ''}`;
      if (named) this.#deps.report({ step: 'routed', model: named, previousVersion: champion?.version ?? 0, detail }, undefined);
      await this.#save();
      return this.routesOf(project, model);
    });
  }

  /** @throws AppError MODEL_NOT_LOADED */
  routesOf(project: string, model: string): ModelRoutes<ServedModel> {
    const routes = this.#deps.routes.table.routesOf(project, model);
    if (routes) return routes;
    throw new AppError('MODEL_NOT_LOADED', `no version of model ${model} is loaded here (project ${project})`, { details: { model } });
  }

  /**
   * Takes every version of the model out of the routing; each ends with its last request. The model stays out, over a restart too and whatever the
   * registry says, until `readmit`.
   */
  unload(project: string, model: string): Promise<void> {
    return this.#inTurn({ project, model }, async () => {
      const routes = this.#deps.routes.table.routesOf(project, model);
      this.#heldOut.set(`${project}/${model}`, { project, model });
      const sleeper = this.#asleep.remove(project, model);
      if (sleeper) this.#held.delete(sleeper);
      for (const version of routes?.versions.values() ?? []) {
        this.#pinned.delete(version);
        this.#deps.routes.table = this.#deps.routes.table.without(version);
        this.#retire(version, undefined);
      }
      await this.#save();
    });
  }

  /** The model may be served again. */
  readmit(project: string, model: string): void {
    this.#heldOut.delete(`${project}/${model}`);
  }

  isHeldOut(project: string, model: string): boolean {
    return this.#heldOut.has(`${project}/${model}`);
  }

  /** '' = of all projects. */
  heldOut(project: string): { readonly project: string; readonly model: string }[] {
    return [...this.#heldOut.values()].filter((one) => project === '' || one.project === project);
  }

  /** Every version that answers here, for a model; its champion first. @throws AppError MODEL_NOT_LOADED */
  routed(project: string, model: string): ServedModel[] {
    const { champion, versions } = this.routesOf(project, model);
    return [...(champion ? [champion] : []), ...[...versions.values()].filter((version) => version !== champion)];
  }

  get isClosing(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Starts from what was saved, before any door opens. What cannot be loaded is left to the registry's answer. */
  async restore(saved: SavedRouting): Promise<void> {
    // First and as they are: the share of a version that cannot be loaded now is the champion's until it is there.
    for (const { project, model, policy } of saved.routes)
      this.#deps.routes.table = this.#deps.routes.table.withPolicy(project, model, policy);
    for (const one of saved.heldOut) this.#heldOut.set(`${one.project}/${one.model}`, one);
    for (const description of saved.champions) await this.serveChampion(description).catch(ignoreReported);
    for (const description of saved.pinned) await this.loadPinned(description).catch(ignoreReported);
  }

  /** Views that any version of the project was loaded with, former layouts among them. */
  viewsOf(project: string): ViewSchema[] {
    return [...this.#held.values()].flatMap((description) => (description?.project === project ? description.views : []));
  }

  /** The layout of views changed: lookups of the project's versions are compiled anew. @returns whether any was. */
  async updateViews(project: string, views: readonly ViewSchema[]): Promise<boolean> {
    let isChanged = false;
    for (const [model, description] of this.#held) {
      if (!description || model.project !== project || model.state !== 'loaded' || !model.parts.lookup) continue;
      const updated = { ...description, views: mergeViews(viewsOf(description, views), description.views) };
      if (JSON.stringify(updated.views) === JSON.stringify(description.views)) continue;
      try {
        model.parts.lookup = lookupOf(updated, model.parts.plan);
        this.#held.set(model, updated);
        isChanged = true;
      } catch (error) {
        // The view lost a feature that this version reads: the old layout stays, and rows in the new one count as missing.
        if (!(error instanceof AppError)) throw error;
      }
    }
    if (isChanged) await this.#save();
    return isChanged;
  }

  /** Of versions that are loaded or being loaded. */
  signaturesOf(project: string): VersionDescription['signature'][] {
    return [...this.#held.values()].flatMap((description) => (description?.project === project ? [description.signature] : []));
  }

  /** What is to be redacted changed, or what is known of it: rows that are answered from now on follow it, of versions that drain too. */
  async updateLogRules(
    project: string,
    change: (description: VersionDescription) => Pick<VersionDescription, 'log' | 'personal'>,
  ): Promise<void> {
    let isChanged = false;
    for (const [model, description] of this.#held) {
      if (!description || model.project !== project) continue;
      const { log, personal } = description;
      const changed = change(description);
      if (isDeepStrictEqual(changed, { log, personal })) continue;
      const updated = { ...description, ...changed };
      model.logRules = this.#deps.logRulesOf(updated);
      this.#held.set(model, updated);
      isChanged = true;
    }
    if (isChanged) await this.#save();
  }

  /** Nothing is loaded any more after it; sessions go when their last request has gone. */
  close(): Promise<void> {
    this.#closing.abort(new AppError('CANCELLED', 'the process is shutting down'));
    return this.#turns.allEnded();
  }

  /** After the last answer of the process: processes of models that run elsewhere end here. */
  abandonAll(): void {
    for (const model of this.#held.keys()) model.abandon();
  }

  async #load(description: VersionDescription, cause: Cause | undefined): Promise<ServedModel> {
    const { project, model: name, version, artifactSha256 } = description;
    const model: ServedModel = new LoadedModel<PredictJob>(
      project,
      name,
      version,
      artifactSha256,
      this.#deps.statistics.of(project, name, version),
    );
    model.logRules = this.#deps.logRulesOf(description);
    this.#forgetFailure(model);
    this.#held.set(model, description);
    try {
      model.step('start');
      model.stand(await this.#deps.open(description, this.#closing.signal));
      this.#closing.signal.throwIfAborted();
      this.#places.watch(model);
      model.loadedAtMs = this.#deps.nowMs();
      return model;
    } catch (thrown) {
      const error = toAppError(thrown);
      model.fail(error.message);
      this.#deps.report(
        { step: 'failed', model, previousVersion: this.championOf(project, name)?.version ?? 0, detail: `${error.code}: ${error.message}` },
        cause,
      );
      this.#trimFailures();
      throw error;
    }
  }

  /** A version that was refused before anything of it was loaded: listed and published like a failed load. */
  reportRefused(project: string, name: string, version: number, error: AppError, cause: Cause | undefined): void {
    const model: ServedModel = new LoadedModel<PredictJob>(project, name, version, '', new ModelStatistics(project, name, version));
    this.#forgetFailure(model);
    model.fail(error.message);
    this.#held.set(model, undefined);
    this.#trimFailures();
    this.#deps.report(
      { step: 'failed', model, previousVersion: this.championOf(project, name)?.version ?? 0, detail: `${error.code}: ${error.message}` },
      cause,
    );
  }

  /** Past the budget the least recently used champions leave that have no request inside. They stay listed, as unloaded. */
  #makeRoom(newest: ServedModel): void {
    const { budgetBytes, keep } = this.#deps.memory;
    if (budgetBytes === 0) return;
    const tenants = [...this.#held.keys()].map((model) => ({
      model,
      bytes: residentBytesOf(model),
      usedAtMs: Math.max(model.loadedAtMs, model.statistics.lastAnsweredAtMs),
      mayLeave:
        model !== newest &&
        model.state === 'loaded' &&
        model.pins === 0 &&
        this.isChampion(model) &&
        !this.#pinned.has(model) &&
        // Its arms and its shadow stay, and the champion with them.
        versionsIn(this.routesOf(model.project, model.model).policy).length === 0 &&
        // A load or a swap of the model is under way, and counts on what it found.
        !this.#turns.has(`${model.project}/${model.model}`) &&
        !keep.includes(model.model) &&
        !keep.includes(`${model.project}/${model.model}`),
    }));
    for (const model of chooseLeavers(tenants, budgetBytes)) {
      this.#deps.routes.table = this.#deps.routes.table.without(model);
      this.#asleep.add(model);
      model.retire(() => this.#deps.report({ step: 'unloaded', model, previousVersion: 0, detail: 'memory budget' }, undefined));
    }
  }

  /** A request found no version: perhaps it sleeps. */
  #wake(project: string, name: string, version: number): AppError | undefined {
    const sleeper = this.#asleep.of(project, name);
    const description = sleeper && this.#held.get(sleeper);
    if (!description || (version !== 0 && version !== description.version)) return undefined;
    return this.#asleep.wake(sleeper, () => this.serveChampion(description));
  }

  #retire(model: ServedModel, cause: Cause | undefined): void {
    model.retire(() => {
      this.#held.delete(model);
      this.#deps.report({ step: 'unloaded', model, previousVersion: 0, detail: '' }, cause);
    });
  }

  #evictPinned(newest: ServedModel): void {
    const ofModel = [...this.#pinned].filter(
      (one) => one.project === newest.project && one.model === newest.model && !this.isChampion(one) && !this.#isRouted(one),
    );
    if (ofModel.length <= PINNED_MAX) return;
    const oldest = ofModel[0]!;
    this.#pinned.delete(oldest);
    this.#deps.routes.table = this.#deps.routes.table.without(oldest);
    this.#retire(oldest, undefined);
  }

  #isRouted(model: ServedModel): boolean {
    const routes = this.#deps.routes.table.routesOf(model.project, model.model);
    return routes !== undefined && versionsIn(routes.policy).includes(model.version);
  }

  #forgetFailure(model: ServedModel): void {
    for (const old of this.#held.keys())
      if (old.state === 'failed' && nameOf(old) === nameOf(model) && old.project === model.project) this.#held.delete(old);
  }

  #trimFailures(): void {
    const failed = [...this.#held.keys()].filter((model) => model.state === 'failed');
    for (const old of failed.slice(0, -FAILED_MAX)) this.#held.delete(old);
  }

  #save(): Promise<void> {
    const champions: VersionDescription[] = [];
    const pinned: VersionDescription[] = [];
    for (const [model, description] of this.#held) {
      const isAsleep = this.#asleep.has(model);
      if (!description || (model.state !== 'loaded' && !isAsleep)) continue;
      if (isAsleep || this.isChampion(model)) champions.push(description);
      else if (this.#pinned.has(model)) pinned.push(description);
    }
    return this.#deps.save({ champions, pinned, routes: this.#deps.routes.table.listPolicies(), heldOut: [...this.#heldOut.values()] });
  }

  #inTurn<T>(key: Pick<VersionDescription, 'project' | 'model'>, work: () => Promise<T>): Promise<T> {
    return this.#turns.run(`${key.project}/${key.model}`, work);
  }
}

function residentBytesOf(model: ServedModel): number {
  return model.state === 'standby' || model.state === 'loaded' ? (model.parts.residentBytes ?? 0) : 0;
}

export function referencesOf({ features, protectedFeatures }: VersionDescription['signature']): string[] {
  return [...features, ...protectedFeatures].map((feature) => feature.reference);
}

/** The views that a version's signature refers to. */
export function viewsOf(description: Pick<VersionDescription, 'signature'>, views: readonly ViewSchema[]): ViewSchema[] {
  const wanted = new Set(referencesOf(description.signature).map((reference) => reference.split(':', 1)[0]));
  return views.filter((view) => wanted.has(view.name));
}

/** `#load` has reported it. */
function ignoreReported(error: unknown): void {
  if (!(error instanceof AppError)) throw error;
}
