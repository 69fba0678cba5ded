import { Injectable } from '@nestjs/common';
import { newestByEntity, type MergedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { OnlineStore } from '../io/online-store.js';
import { ServiceVectors } from './service-vectors.js';
import { UpdateWindows } from './update-windows.js';

/** Everything of a view that is kept online: the newest row of each entity, its windows, and the vectors that hold the row too. */
@Injectable()
export class WriteOnline {
  constructor(
    private readonly online: OnlineStore,
    private readonly windows: UpdateWindows,
    private readonly vectors: ServiceVectors,
  ) {}

  /** @param rows in any order and as often as they like. Windows hold what Postgres holds: rows that went online only are not in them. */
  async write(view: View, rows: readonly MergedRow[]): Promise<void> {
    await this.rewriteRows(view, newestByEntity(rows));
    if (view.windows) await this.windows.update(view, rows);
  }

  /** @param rows the newest of each entity. */
  async rewriteRows(view: View, rows: readonly MergedRow[]): Promise<void> {
    await this.online.write(view, rows);
    await this.vectors.refresh(
      view,
      rows.map(({ entityKey }) => entityKey),
    );
  }

  /** @param done is told the last entity of each batch. */
  async rewriteWindows(view: View, afterEntity: string, done: (lastEntity: string) => Promise<void>): Promise<void> {
    if (view.windows) await this.windows.remakeAll(view, afterEntity, done);
  }

  redisRun(): Promise<string> {
    return this.online.redisRun();
  }

  /** @returns how many rows. */
  async removeExpired(views: readonly View[], nowMs: number): Promise<number> {
    let removed = 0;
    for (const view of views) {
      for await (const entityKeys of this.online.removeExpired(view, nowMs)) {
        await this.vectors.refresh(view, entityKeys);
        removed += entityKeys.length;
      }
    }
    return removed;
  }
}
