import { AppError, ERROR_CODES, messageOf, toAppError } from '@headrace/base/errors';
import type { Cause } from '@headrace/platform/kafka/cause';
import type { Log } from '@headrace/platform/log';
import type { Background } from '@headrace/platform/service';
import { mergeViews } from '../domain/entity-lookup.js';
import type { ServedModel } from '../domain/predict-job.js';
import type { VersionDescription, ViewSchema } from '../domain/version-description.js';
import { refuseUnblessed, type RegisteredModel, type RegisteredVersion } from '../io/registry.js';
import { LogRulesFollower, type PersonalDoor } from './follow-log-rules.js';
import { referencesOf, viewsOf, type ModelHost } from './model-host.js';

export interface RegistryDoor {
  listModels(project: string): Promise<RegisteredModel[]>;
  getModel(project: string, model: string): Promise<RegisteredModel>;
  getVersion(project: string, model: string, version: number): Promise<RegisteredVersion>;
}

export interface ViewsDoor extends PersonalDoor {
  list(project: string): Promise<ViewSchema[]>;
}

export interface FollowOptions {
  readonly projects: readonly string[];
  /** How often the registry is asked without an event, ms: the safety net for events that were missed. */
  readonly pollMs: number;
  /** Views are asked for again at most this often when blobs have an unknown layout, ms. */
  readonly viewsRefreshMs: number;
  readonly nowMs: () => number;
}

/** A load that failed for its own sake is tried again only after this time, or when the registry says something new. */
const PERMANENT_RETRY_MS = 300_000;
const TRANSIENT_RETRY_MS = { first: 1_000, longest: 30_000 };

/**
 * Keeps this process at what the registry says. Events and the poll are only hints to look: the registry's answer decides, so a
 * lost, repeated or late event changes nothing. What is unreachable is tried again; what is bad keeps the old version.
 */
export class RegistryFollower implements Background {
  readonly name = 'registry follower';
  readonly #host: ModelHost;
  readonly #registry: RegistryDoor;
  readonly #views: ViewsDoor;
  readonly #logRules: LogRulesFollower;
  readonly #options: FollowOptions;
  readonly #log: Pick<Log, 'info' | 'warn'>;
  readonly #projects: Set<string>;
  readonly #failures = new Map<string, { readonly version: number; readonly tries: number; readonly notBeforeMs: number }>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #viewsAskedAtMs = new Map<string, number>();
  readonly #retries = new Map<string, NodeJS.Timeout>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #isPolling = false;

  constructor(host: ModelHost, registry: RegistryDoor, views: ViewsDoor, options: FollowOptions, log: Pick<Log, 'info' | 'warn'>) {
    this.#host = host;
    this.#registry = registry;
    this.#views = views;
    this.#logRules = new LogRulesFollower(host, views, log);
    this.#options = options;
    this.#log = log;
    this.#projects = new Set(options.projects);
  }

  /** Does not wait for the registry: the process serves from its cache meanwhile. */
  start(): Promise<void> {
    this.#timer = setInterval(() => this.#run(this.#poll()), this.#options.pollMs);
    this.#run(this.#poll());
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    for (const timer of this.#retries.values()) clearTimeout(timer);
    await this.#host.close();
    await Promise.allSettled(this.#running);
  }

  /** An event said that the champion of the model is `version` now. Returns at once. */
  noticed(project: string, model: string, version: number, cause: Cause): void {
    this.#projects.add(project);
    this.#failures.delete(`${project}/${model}`);
    this.#run(this.#reconcileNamed(project, model, version, cause));
  }

  /** For ServingAdmin.LoadVersion. @throws AppError VERSION_NOT_BLESSED and what a load throws. */
  async loadPinned(project: string, model: string, version: number): Promise<ServedModel> {
    const [definition, registered] = await Promise.all([
      this.#registry.getModel(project, model),
      this.#registry.getVersion(project, model, version),
    ]);
    refuseUnblessed(registered);
    return this.#host.loadPinned(await this.#describe(definition, registered));
  }

  /**
   * For the repository door: the registry's champion answers from now on, also when the model had been unloaded.
   * @throws AppError MODEL_NOT_LOADED when it has none, and what the registry and a load throw
   */
  async loadChampion(project: string, model: string): Promise<void> {
    const definition = await this.#registry.getModel(project, model);
    const { champion } = definition;
    if (champion === 0)
      throw new AppError('MODEL_NOT_LOADED', `model ${model} has no champion in the registry; promote a version, or name one`);
    const registered = await this.#registry.getVersion(project, model, champion);
    refuseUnblessed(registered);
    this.#projects.add(project);
    this.#failures.delete(`${project}/${model}`);
    this.#host.readmit(project, model);
    await this.#host.serveChampion(await this.#describe(definition, registered));
  }

  /** An event said that the definition of the model changed. Returns at once. */
  redefined(project: string, model: string): void {
    this.#run(
      this.#registry
        .getModel(project, model)
        .then((definition) => this.#logRules.follow(project, [definition]))
        .catch((error: unknown) =>
          this.#log.warn('the new definition of a model could not be read; the next poll tries again', {
            project,
            model,
            error: messageOf(error),
          }),
        ),
    );
  }

  /** Asks for the views of the projects again, bounded in time. @returns whether anything is known now that was not. */
  async refreshViews(projects: ReadonlySet<string>): Promise<boolean> {
    let isChanged = false;
    for (const project of projects) {
      const nowMs = this.#options.nowMs();
      if (nowMs - (this.#viewsAskedAtMs.get(project) ?? -Infinity) < this.#options.viewsRefreshMs) continue;
      this.#viewsAskedAtMs.set(project, nowMs);
      try {
        if (await this.#host.updateViews(project, await this.#views.list(project))) isChanged = true;
      } catch (error) {
        this.#log.warn('views could not be refreshed; rows in an unknown layout count as missing', { project, error: messageOf(error) });
      }
    }
    return isChanged;
  }

  async #poll(): Promise<void> {
    if (this.#isPolling) return;
    this.#isPolling = true;
    try {
      const held = this.#host.list('').map(({ project }) => project);
      for (const project of new Set([...this.#projects, ...held])) {
        const models = await this.#registry.listModels(project);
        if (held.includes(project)) await this.#logRules.follow(project, models);
        if (!this.#projects.has(project)) continue;
        for (const model of models) {
          const failure = this.#failures.get(`${project}/${model.name}`);
          const isWaiting = failure?.version === model.champion && this.#options.nowMs() < failure.notBeforeMs;
          if (model.champion > 0 && !isWaiting) await this.#serve(model, model.champion, undefined);
        }
      }
    } catch (error) {
      this.#log.warn('the registry does not answer; serving goes on with what is loaded', { error: messageOf(error) });
    } finally {
      this.#isPolling = false;
    }
  }

  async #reconcileNamed(project: string, model: string, version: number, cause: Cause | undefined): Promise<void> {
    try {
      const definition = await this.#registry.getModel(project, model);
      if (definition.champion !== version) {
        // Named, but not champion: an old event, or a registry that let an unblessed version through. The latter is said aloud.
        refuseUnblessed(await this.#registry.getVersion(project, model, version));
      }
      if (definition.champion > 0) await this.#serve(definition, definition.champion, cause);
    } catch (thrown) {
      this.#failed(project, model, version, toAppError(thrown), cause);
    }
  }

  async #serve(definition: RegisteredModel, version: number, cause: Cause | undefined): Promise<void> {
    const { project, name } = definition;
    if (this.#host.isHeldOut(project, name) || this.#host.hasChampion(project, name, version)) return;
    try {
      const registered = await this.#registry.getVersion(project, name, version);
      refuseUnblessed(registered);
      await this.#host.serveChampion(await this.#describe(definition, registered), cause);
      this.#failures.delete(`${project}/${name}`);
    } catch (thrown) {
      this.#failed(project, name, version, toAppError(thrown), cause);
    }
  }

  async #describe(definition: RegisteredModel, registered: RegisteredVersion): Promise<VersionDescription> {
    const { project, model, version, artifactSha256, signature, golden } = registered;
    if (!signature) throw new AppError('MODEL_LOAD_FAILED', `version ${version} of ${model} has no signature`);
    const views =
      signature.entityKeys.length > 0
        ? viewsOf({ signature }, mergeViews(await this.#views.list(project), this.#host.viewsOf(project)))
        : [];
    const personal = await this.#logRules.personal(project, referencesOf(signature));
    return { project, model, version, artifactSha256, signature, golden, ...definition.policy, views, personal };
  }

  #failed(project: string, model: string, version: number, error: AppError, cause: Cause | undefined): void {
    if (this.#isStopped) return;
    const key = `${project}/${model}`;
    const before = this.#failures.get(key);
    const tries = before?.version === version ? before.tries + 1 : 1;
    const isTransient = ERROR_CODES[error.code].kind === 'UNAVAILABLE' || ERROR_CODES[error.code].kind === 'DEADLINE_EXCEEDED';
    const delayMs = isTransient ? Math.min(TRANSIENT_RETRY_MS.first * 2 ** (tries - 1), TRANSIENT_RETRY_MS.longest) : PERMANENT_RETRY_MS;
    this.#failures.set(key, { version, tries, notBeforeMs: this.#options.nowMs() + delayMs });
    this.#log.warn('version is not served; what was served stays', {
      project,
      model,
      version,
      code: error.code,
      error: error.message,
      retryMs: delayMs,
    });
    if (error.code === 'VERSION_NOT_BLESSED') this.#host.reportRefused(project, model, version, error, cause);
    if (!isTransient) return;
    // One timer for a model: the newest reason replaces the others.
    clearTimeout(this.#retries.get(key));
    this.#retries.set(key, setTimeout(() => this.#run(this.#reconcileNamed(project, model, version, cause)), delayMs).unref());
  }

  #run(work: Promise<unknown>): void {
    const tracked = work.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }
}
