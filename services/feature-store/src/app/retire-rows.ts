import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { messageOf } from '@headrace/base/errors';
import { Log } from '@headrace/platform/log';
import { CLOCK } from '@headrace/platform/platform-module';
import { retentionOf } from '../domain/retention.js';
import type { Partition } from '../domain/partition.js';
import type { View } from '../domain/view.js';
import { RetentionStore } from '../io/retention-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { ViewCatalogue } from './view-catalogue.js';

/** Of one view in one turn: bounds the work between two looks at everything else. */
const PARTITIONS_PER_TURN = 4;
const STRETCHES_PER_TURN = 16;
/** Of 8 kB each: some ten thousand rows. */
const BLOCKS_PER_STRETCH = 256;
/** A partition from which nothing can be dropped whole is walked through this often. */
const WALK_EVERY_MS = 3_600_000;

interface Walk {
  readonly cutMs: number;
  readonly partitions: Partition[];
  block: number;
  /** When it was through. */
  endedMs: number | undefined;
}

/** Takes rows out of the history that no join within the retention of their view needs. Each turn does a bounded part, and the next goes on. */
@Injectable()
export class RetireRows {
  readonly #walks = new Map<number, Walk>();

  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly store: RetentionStore,
    private readonly telemetry: FeatureTelemetry,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  async turn(): Promise<void> {
    const { all } = await this.catalogue.newest();
    for (const view of all) {
      const retention = retentionOf(view, this.clock.nowMs());
      if (!retention) continue;
      const old = (await this.store.partitions(view)).filter(({ toMs }) => toMs <= retention.floorMs);
      const removed = retention.keepsNewest ? await this.#walk(view, retention.cutMs, old) : await this.#drop(view, old);
      if (removed === 0) continue;
      this.telemetry.retired(view.name, removed);
      this.log.info('rows past their retention removed', { project: view.project, view: view.name, removed });
    }
  }

  async #drop(view: View, old: readonly Partition[]): Promise<number> {
    for (const partition of old.slice(0, PARTITIONS_PER_TURN)) await this.#retire(view, partition, false);
    return this.store.dropRetired(view);
  }

  /** Not while somebody uses the table for long: then the next turn tries again. */
  async #retire(view: View, partition: Partition, onlyEmpty: boolean): Promise<void> {
    try {
      await this.store.retire(view, partition, { onlyEmpty });
    } catch (error) {
      this.log.warn('a partition past its retention is in use; it stays for now', { view: view.name, error: messageOf(error) });
    }
  }

  async #walk(view: View, cutMs: number, old: readonly Partition[]): Promise<number> {
    let walk = this.#walks.get(view.id);
    if (!walk || (walk.endedMs !== undefined && this.clock.nowMs() - walk.endedMs >= WALK_EVERY_MS))
      this.#walks.set(view.id, (walk = { cutMs, partitions: [...old], block: 0, endedMs: undefined }));
    if (walk.endedMs !== undefined) return 0;
    let removed = 0;
    for (let stretch = 0; stretch < STRETCHES_PER_TURN; stretch++) {
      const [partition] = walk.partitions;
      if (!partition) {
        walk.endedMs = this.clock.nowMs();
        break;
      }
      const toBlock = walk.block + BLOCKS_PER_STRETCH;
      removed += await this.store.removeReplaced(view, partition, walk.block, toBlock, walk.cutMs);
      walk.block = toBlock;
      if (toBlock < (await this.store.blocks(view, partition))) continue;
      await this.#retire(view, partition, true);
      walk.partitions.shift();
      walk.block = 0;
    }
    return removed + (await this.store.dropRetired(view));
  }
}
