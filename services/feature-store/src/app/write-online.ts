import { Injectable } from '@nestjs/common';
import { newestByEntity, type MergedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { OnlineStore } from '../io/online-store.js';
import { UpdateWindows } from './update-windows.js';

/** Everything of a view that is kept online: the newest row of each entity, and its windows. */
@Injectable()
export class WriteOnline {
  constructor(
    private readonly online: OnlineStore,
    private readonly windows: UpdateWindows,
  ) {}

  /** @param rows in any order and as often as they like. Windows hold what Postgres holds: rows that went online only are not in them. */
  async write(view: View, rows: readonly MergedRow[]): Promise<void> {
    await this.online.write(view, newestByEntity(rows));
    if (view.windows) await this.windows.update(view, rows);
  }

  /** @param rows the newest of each entity. */
  async rewriteRows(view: View, rows: readonly MergedRow[]): Promise<void> {
    await this.online.write(view, rows);
  }

  /** @param done is told the last entity of each batch. */
  async rewriteWindows(view: View, afterEntity: string, done: (lastEntity: string) => Promise<void>): Promise<void> {
    if (view.windows) await this.windows.remakeAll(view, afterEntity, done);
  }

  redisRun(): Promise<string> {
    return this.online.redisRun();
  }
}
