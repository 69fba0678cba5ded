import { Injectable } from '@nestjs/common';
import { messageOf } from '@headrace/base/errors';
import { sleep } from '@headrace/base/clock';
import { Log } from '@headrace/platform/log';
import type { Background } from '@headrace/platform/service';
import type { View } from '../domain/view.js';
import { requestInvalid } from '../errors.js';
import { DefinitionStore } from '../io/definition-store.js';
import { OfflineStore } from '../io/offline-store.js';
import { ServiceVectors } from './service-vectors.js';
import { ViewCatalogue } from './view-catalogue.js';
import { WriteOnline } from './write-online.js';

export interface Rebuilt {
  readonly view: string;
  readonly entities: number;
  readonly seconds: number;
}

const BATCH_ROWS = 5_000;

/** Writes the online store anew from Postgres. Safe while rows flow in: each write is compare-and-set, so nothing newer is lost. */
@Injectable()
export class RebuildOnline {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly offline: OfflineStore,
    private readonly online: WriteOnline,
    private readonly definitions: DefinitionStore,
    private readonly log: Log,
  ) {}

  /** @param view empty = every online view of the project. */
  async rebuild(project: string, view = '', signal?: AbortSignal): Promise<Rebuilt[]> {
    const views = await this.catalogue.newest();
    const wanted = view === '' ? views.all.filter((v) => v.project === project && v.spec.online) : [views.get(project, view)];
    const offlineOnly = wanted.find((v) => !v.spec.online);
    if (offlineOnly) throw requestInvalid(`view ${offlineOnly.name} is not kept online; nothing to rebuild`);
    const rebuilt: Rebuilt[] = [];
    for (const one of wanted) rebuilt.push(await this.rebuildView(one, signal));
    return rebuilt;
  }

  async rebuildView(view: View, signal?: AbortSignal): Promise<Rebuilt> {
    const startedAt = performance.now();
    let entities = 0;
    for await (const rows of this.offline.newestRows(view, BATCH_ROWS)) {
      signal?.throwIfAborted();
      await this.online.rewriteRows(view, rows);
      entities += rows.length;
    }
    await this.online.rewriteWindows(view, signal);
    await this.definitions.setOnlineFingerprint(view.id, view.onlineFingerprint);
    const seconds = (performance.now() - startedAt) / 1000;
    if (entities > 0) this.log.info('online store rebuilt', { project: view.project, view: view.name, entities, seconds });
    return { view: view.name, entities, seconds };
  }
}

/** How often a missed change of layout is looked for, when no apply in this process says so. */
const CHECK_MS = 30_000;

/** Keeps what is online as the newest definitions say, blobs of views and vectors of services: after an apply, and after a crash in the middle. */
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
    const { all } = await this.catalogue.newest();
    for (const view of all) {
      if (view.spec.online && fingerprints.get(view.id) !== view.onlineFingerprint) await this.rebuild.rebuildView(view, signal);
    }
  }
}
