import { Injectable } from '@nestjs/common';
import { AppError, messageOf } from '@headrace/base/errors';
import { sleep } from '@headrace/base/clock';
import { newId } from '@headrace/base/ids';
import { Log } from '@headrace/platform/log';
import type { Background } from '@headrace/platform/service';
import type { View } from '../domain/view.js';
import { requestInvalid } from '../errors.js';
import { DefinitionStore } from '../io/definition-store.js';
import { OfflineStore } from '../io/offline-store.js';
import { ServiceVectors } from './service-vectors.js';
import { RebuildStore, type Rebuild, type RebuildPhase } from '../io/rebuild-store.js';
import { ViewCatalogue } from './view-catalogue.js';
import { WriteOnline } from './write-online.js';

export interface Rebuilt {
  readonly view: string;
  readonly entities: number;
  readonly seconds: number;
}

export interface RebuildOptions {
  /** One that was left in the middle goes on behind its last entity, when Redis is still the same. */
  readonly resume: boolean;
  readonly signal?: AbortSignal | undefined;
}

const BATCH_ROWS = 5_000;

/**
 * Writes the online store anew from Postgres. Safe while rows flow in: each write is compare-and-set, so nothing newer is lost. How far
 * it has come is written after each batch, so that it goes on from there when its process dies.
 */
@Injectable()
export class RebuildOnline {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly offline: OfflineStore,
    private readonly online: WriteOnline,
    private readonly rebuilds: RebuildStore,
    private readonly log: Log,
  ) {}

  /** @param view empty = every online view of the project. */
  async rebuild(project: string, view: string, options: RebuildOptions): Promise<Rebuilt[]> {
    const views = await this.catalogue.newest();
    const wanted = view === '' ? views.all.filter((v) => v.project === project && v.spec.online) : [views.get(project, view)];
    const offlineOnly = wanted.find((v) => !v.spec.online);
    if (offlineOnly) throw requestInvalid(`view ${offlineOnly.name} is not kept online; nothing to rebuild`);
    const rebuilt: Rebuilt[] = [];
    for (const one of wanted) rebuilt.push(await this.rebuildView(one, options));
    return rebuilt;
  }

  list(project: string): Promise<Rebuild[]> {
    return this.rebuilds.list(project);
  }

  /** @throws AppError CANCELLED when another one of the view begins meanwhile, or to resume one that somebody works on. */
  async rebuildView(view: View, { resume, signal }: RebuildOptions): Promise<Rebuilt> {
    const owner = newId();
    const redisRun = await this.online.redisRun();
    const begun =
      (resume ? await this.rebuilds.resume(view, owner, redisRun) : undefined) ??
      (await this.rebuilds.begin(view, owner, redisRun, !resume));
    if (!begun) throw taken(view);
    try {
      return await this.#carryOut(view, owner, begun, signal);
    } catch (error) {
      await this.rebuilds.release(view, owner).catch(() => undefined); // the lease ends by itself
      throw error;
    }
  }

  async #carryOut(view: View, owner: string, begun: Rebuild, signal?: AbortSignal): Promise<Rebuilt> {
    const startedAt = performance.now();
    const seconds = (): number => begun.seconds + (performance.now() - startedAt) / 1_000;
    let { entities } = begun;
    const save = async (phase: RebuildPhase, afterEntity: string): Promise<void> => {
      signal?.throwIfAborted();
      if (!(await this.rebuilds.progress(view, owner, { phase, afterEntity, entities, seconds: seconds() }))) throw taken(view);
    };
    if (begun.phase === 'rows') {
      for await (const rows of this.offline.newestRows(view, BATCH_ROWS, begun.afterEntity)) {
        await this.online.rewriteRows(view, rows);
        entities += rows.length;
        await save('rows', rows.at(-1)!.entityKey);
      }
    }
    const windowsFrom = begun.phase === 'windows' ? begun.afterEntity : '';
    await this.online.rewriteWindows(view, windowsFrom, (afterEntity) => save('windows', afterEntity));
    if (!(await this.rebuilds.finish(view, owner, seconds()))) throw taken(view);
    const rebuilt = { view: view.name, entities, seconds: seconds() };
    if (entities > 0) this.log.info('online store rebuilt', { project: view.project, ...rebuilt });
    return rebuilt;
  }
}

function taken(view: View): AppError {
  return new AppError('CANCELLED', `another rebuild of view ${view.name} is under way; list the rebuilds to see how far it is`);
}

/** How often a missed change of layout is looked for, when no apply in this process says so. */
const CHECK_MS = 30_000;

/** Keeps what is online as the newest definitions say, blobs of views and vectors of services: after an apply; goes on with a rebuild that was left in the middle. */
@Injectable()
export class OnlineRebuilds implements Background {
  readonly name = 'online-rebuilds';
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly rebuild: RebuildOnline,
    private readonly vectors: ServiceVectors,
    private readonly catalogue: ViewCatalogue,
    private readonly definitions: DefinitionStore,
    private readonly rebuilds: RebuildStore,
    private readonly log: Log,
  ) {}

  start(): Promise<void> {
    this.#running = this.#follow();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the service is stopping'));
    this.nudge();
    await this.#running;
  }

  nudge(): void {
    this.#wake.abort();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      try {
        await this.#rebuildStale(signal);
        await this.vectors.makeStale(signal);
      } catch (error) {
        if (!signal.aborted)
          this.log.warn('online rebuild failed; it will be tried again', { error: messageOf(error), againInMs: CHECK_MS });
      }
      if (!signal.aborted) await sleep(CHECK_MS, this.#wake.signal).catch(() => undefined); // woken, not failed
    }
  }

  async #rebuildStale(signal: AbortSignal): Promise<void> {
    const fingerprints = await this.definitions.onlineFingerprints();
    const leftBehind = await this.rebuilds.leftBehind();
    const { all } = await this.catalogue.newest();
    for (const view of all) {
      if (!view.spec.online) continue;
      if (leftBehind.has(view.id) || fingerprints.get(view.id) !== view.onlineFingerprint)
        await this.rebuild.rebuildView(view, { resume: true, signal }).catch(unlessTaken);
    }
  }
}

/** Somebody else rebuilds the view: nothing is left to do here. */
function unlessTaken(error: unknown): void {
  if (!(error instanceof AppError && error.code === 'CANCELLED')) throw error;
}
