import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { sleep } from '@headrace/base/clock';
import { splitEntityKey } from '@headrace/codec/feature-key';
import { CLOCK } from '@headrace/platform/platform-module';
import { findSkew, type Look, type Skew } from '../domain/consistency.js';
import { isExpired } from '../domain/freshness.js';
import type { OnlineValue } from '../domain/online-vector.js';
import type { MergedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { HealthStore } from '../io/health-store.js';
import { OnlineStore } from '../io/online-store.js';
import { GetOnlineFeatures } from './get-online-features.js';

export interface Inspected {
  readonly checked: number;
  readonly skews: readonly { readonly entity: string; readonly skew: Skew }[];
  /** Event times as served, of the entities that have one. */
  readonly servedTimesMs: readonly number[];
}

/** What is found is looked at again after this long: a write under way has long ended by then. */
const SECOND_LOOK_MS = 500;
const LOOKS = 3;

/**
 * Reads a sample of entities as any caller reads them, and recomputes what they should have been from the offline store. Entities are
 * drawn from both stores, so what only one of them has is seen too.
 */
@Injectable()
export class InspectView {
  constructor(
    private readonly health: HealthStore,
    private readonly reads: GetOnlineFeatures,
    private readonly online: OnlineStore,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @param again entities to look at beside the drawn ones: those found before. */
  async inspect(view: View, sample: number, again: readonly string[] = [], signal?: AbortSignal): Promise<Inspected> {
    const [offline, online] = [await this.health.sampleEntities(view, sample), await this.online.sampleEntities(view, sample)];
    const entities = [...new Set([...offline, ...online, ...again])];
    if (entities.length === 0) return { checked: 0, skews: [], servedTimesMs: [] };
    const first = await this.#look(view, entities);
    let suspects = skewsOf(view, first);
    for (let look = 2; suspects.length > 0 && look <= LOOKS; look++) {
      await sleep(SECOND_LOOK_MS, signal);
      const suspected = [...new Set(suspects.map(({ entity }) => entity))];
      suspects = skewsOf(view, await this.#look(view, suspected));
    }
    const servedTimesMs = [...first.values()].flatMap(({ served }) => served[0]?.eventTimeMs ?? []);
    return { checked: entities.length, skews: suspects, servedTimesMs };
  }

  /** Offline, then online, then offline again: see `findSkew`. */
  async #look(view: View, entities: readonly string[]): Promise<Map<string, Look>> {
    const before = await this.health.newestOf(view, entities);
    const features = view.spec.features.map(({ name }) => `${view.name}:${name}`);
    const keys = entities.map((entity) => {
      const values = splitEntityKey(entity);
      return Object.fromEntries(view.joinKeys.map((name, i) => [name, values[i] ?? '']));
    });
    const { vectors } = await this.reads.get({ project: view.project, features, entities: keys });
    const servedAtMs = this.clock.nowMs();
    const moments = entities.flatMap((entity, i) => {
      const eventTimeMs = vectors[i]![0]?.eventTimeMs;
      return eventTimeMs === undefined ? [] : [{ entity, eventTimeMs }];
    });
    const after = await this.health.rowsAt(view, moments);
    return new Map(
      entities.map((entity, i) => [
        entity,
        { served: vectors[i]!, servedAtMs, before: before.get(entity), after: after.get(entity) ?? NONE },
      ]),
    );
  }
}

const NONE: readonly MergedRow[] = [];

function skewsOf(view: View, looks: ReadonlyMap<string, Look>): { entity: string; skew: Skew }[] {
  // A row that is offline but long past its time to live need not be online any more: clean-up may have taken it.
  return [...looks].flatMap(([entity, look]) => (gone(view, look) ? [] : findSkew(view, look).map((skew) => ({ entity, skew }))));
}

function gone(view: View, { served, before, servedAtMs }: Look): boolean {
  const nothing = served.every(({ status }: OnlineValue) => status === 'not_found');
  return nothing && before !== undefined && isExpired(before.eventTimeMs, servedAtMs, view.spec.ttl);
}
