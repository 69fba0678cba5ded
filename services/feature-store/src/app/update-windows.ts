import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { AppError } from '@headrace/base/errors';
import { CLOCK } from '@headrace/platform/platform-module';
import { HORIZON_LAG_MS } from '@headrace/windows/window-layout';
import { windowStart } from '@headrace/windows/window-plan';
import type { MergedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { WindowUpdate } from '../domain/window-update.js';
import { WindowRows } from '../io/window-rows.js';
import { WindowStore, type Swap } from '../io/window-store.js';
import { FeatureTelemetry } from '../telemetry.js';

/** Entities of one round: Redis compares and sets them in one step of about a millisecond. */
const ENTITIES_PER_ROUND = 200;
const ENTITIES_PER_FETCH = 5_000;
/** Rounds for entities that other writers keep changing; each means that one of the others got through. */
const ROUNDS_MAX = 20;

/**
 * Brings online windows up to what Postgres holds. Nothing is ever added to a tile: the stretches that new rows touch are made anew from the
 * stored rows, which are a set. So repeating it after a crash, or for rows that were there already, changes nothing. What is written
 * was read from Postgres after the blob that it replaces was read from Redis, and replaces only that very blob: a
 * slower writer can never put back an older state.
 */
@Injectable()
export class UpdateWindows {
  constructor(
    private readonly rows: WindowRows,
    private readonly store: WindowStore,
    private readonly telemetry: FeatureTelemetry,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** @param rows of an online view with aggregations; stored in Postgres already. */
  async update(view: View, rows: readonly MergedRow[]): Promise<void> {
    const timesOf = new Map<string, number[]>();
    for (const { entityKey, eventTimeMs } of rows) {
      const times = timesOf.get(entityKey);
      if (times) times.push(eventTimeMs);
      else timesOf.set(entityKey, [eventTimeMs]);
    }
    const entities = [...timesOf];
    for (let from = 0; from < entities.length; from += ENTITIES_PER_ROUND)
      await this.#update(view, new Map(entities.slice(from, from + ENTITIES_PER_ROUND)));
  }

  /** Entities behind that one with a row in the longest window; the others have none. @param done is told how far it is, batch by batch. */
  async remakeAll(view: View, afterEntity: string, done: (lastEntity: string) => Promise<void>): Promise<void> {
    const sinceMs = windowStart(view.windows!.windows.at(-1)!, this.clock.nowMs() - HORIZON_LAG_MS);
    for await (const entityKeys of this.rows.entities(view, sinceMs, afterEntity, ENTITIES_PER_FETCH)) {
      for (let from = 0; from < entityKeys.length; from += ENTITIES_PER_ROUND)
        await this.#update(view, new Map(entityKeys.slice(from, from + ENTITIES_PER_ROUND).map((key) => [key, undefined])));
      await done(entityKeys.at(-1)!);
    }
  }

  /** @param timesOf entity -> times of the rows that came; undefined = make all of it anew. */
  async #update(view: View, timesOf: ReadonlyMap<string, readonly number[] | undefined>): Promise<void> {
    let pending = [...timesOf.keys()];
    for (let round = 1; pending.length > 0; round++) {
      if (round > ROUNDS_MAX)
        throw new AppError(
          'OVERLOADED',
          `windows of view ${view.name} are changed by other writers again and again; the rows are tried again`,
        );
      const blobs = await this.store.read(view, pending);
      const horizonMs = this.clock.nowMs() - HORIZON_LAG_MS;
      const updates = pending.map((entityKey, i) => new WindowUpdate(view.windows!, blobs[i]!, timesOf.get(entityKey), horizonMs));
      await this.#readRows(view, pending, updates);
      const swaps = updates.flatMap((update, i): Swap[] => {
        const next = update.finish();
        return next ? [{ entityKey: pending[i]!, before: blobs[i]!, after: next.blob, expiresMs: next.expiresMs }] : [];
      });
      const lost = await this.store.swap(view, swaps);
      this.telemetry.windows(view.name, swaps.length - lost.length, lost.length);
      pending = lost.map(({ entityKey }) => entityKey);
    }
  }

  async #readRows(view: View, entityKeys: readonly string[], updates: readonly WindowUpdate[]): Promise<void> {
    const ranges = updates.flatMap(({ ranges }, i) =>
      ranges.map((range, at) => ({ ...range, at, update: updates[i]!, entityKey: entityKeys[i]! })),
    );
    for await (const batch of this.rows.read(view, ranges)) {
      for (const { range, row } of batch) ranges[range]!.update.take(ranges[range]!.at, row);
    }
  }
}
