import { Injectable } from '@nestjs/common';
import { mergeDuplicates, type ArrivedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { OfflineStore, type Appended, type ViewRows } from '../io/offline-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { WriteOnline } from './write-online.js';

/**
 * Which stores the rows go to. `online` alone keeps no history: the row is gone with Redis. `offline` alone leaves the online store as it
 * is until its next rebuild.
 */
export type Destination = 'both' | 'online' | 'offline';

/** Valid rows by view. */
export type Groups = Map<View, ArrivedRow[]>;

const NOTHING_APPENDED: ReadonlyMap<number, Appended> = new Map();

/** Valid rows into the two stores. Offline first: what is online can always be made again from it. */
@Injectable()
export class StoreRows {
  constructor(
    private readonly offline: OfflineStore,
    private readonly online: WriteOnline,
    private readonly telemetry: FeatureTelemetry,
  ) {}

  /** @returns what was new, by view id; undefined when an erasure has begun since the epoch, and nothing is stored. */
  async store(
    groups: Groups,
    { to, tellKnown, epoch }: { readonly to: Destination; readonly tellKnown: boolean; readonly epoch: number },
  ): Promise<ReadonlyMap<number, Appended> | undefined> {
    const merged = [...groups].map(([view, rows]): ViewRows => ({ view, rows: mergeDuplicates(rows) }));
    const appended = to === 'online' ? NOTHING_APPENDED : await this.offline.append(merged, { tellKnown, epoch });
    if (!appended) return undefined;
    for (const { view, rows } of merged) {
      if (view.spec.online && to !== 'offline') await this.online.write(view, rows);
      const offline = appended.get(view.id);
      if (offline) this.telemetry.duplicates(view.name, groups.get(view)!.length - offline.inserted);
    }
    return appended;
  }
}
