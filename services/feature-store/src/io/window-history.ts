import { Injectable } from '@nestjs/common';
import type { WindowValue } from '@headrace/windows/measure';
import { WindowFold } from '@headrace/windows/window-fold';
import { windowStart } from '@headrace/windows/window-plan';
import { isExpired } from '../domain/freshness.js';
import type { Knowledge } from '../domain/point-in-time-probe.js';
import type { WindowJoin } from '../domain/window-joins.js';
import { WindowWalk } from '../domain/window-walk.js';
import type { JoinedRow } from './training-set-store.js';
import { WindowRows, type RowRange } from './window-rows.js';

/**
 * Fills the windows of training rows: each as of its row's event time, by the code that fills them online. Streams: of the label rows one
 * batch is in memory, of the history behind it one fetch.
 */
@Injectable()
export class WindowHistory {
  constructor(private readonly rows: WindowRows) {}

  async *fill(
    batches: AsyncIterable<readonly JoinedRow[]>,
    joins: readonly WindowJoin[],
    knowledge: Knowledge,
  ): AsyncGenerator<readonly JoinedRow[]> {
    for await (const batch of batches) {
      const rows = batch.map((row): Record<string, unknown> => ({ ...row }));
      for (const join of joins) await this.#fill(rows, join, knowledge);
      yield rows;
    }
  }

  async #fill(rows: readonly Record<string, unknown>[], { view, entitySource, features }: WindowJoin, knowledge: Knowledge): Promise<void> {
    const plan = view.windows!;
    const longest = plan.windows.at(-1)!;
    const fold = new WindowFold(plan);
    for (const row of rows) for (const { source } of features) row[source] = null;
    const groups = Map.groupBy(rows, (row) => row[entitySource] as string);
    const ranges: RowRange[] = [];
    const walks: WindowWalk[] = [];
    for (const [entityKey, ofEntity] of groups) {
      ofEntity.sort((a, b) => timeOf(a) - timeOf(b));
      const momentsMs = ofEntity.map(timeOf);
      ranges.push({ entityKey, fromMs: windowStart(longest, momentsMs[0]!), toMs: momentsMs.at(-1)! + 1 });
      const emit = (moment: number): void => {
        if (isExpired(fold.newestMs, momentsMs[moment]!, view.spec.ttl)) return;
        for (const { feature, source } of features)
          ofEntity[moment]![source] =
            view.aggregations[feature]!.type === 'timestamp' ? dateOf(fold.values[feature]!) : fold.values[feature];
      };
      walks.push(new WindowWalk(fold, momentsMs, emit));
    }
    for await (const batch of this.rows.read(view, ranges, knowledge)) for (const { range, row } of batch) walks[range]!.take(row);
    for (const walk of walks) walk.finish();
  }
}

function dateOf(value: WindowValue): Date | null {
  return value === null ? null : new Date(value as number);
}

function timeOf(row: Readonly<Record<string, unknown>>): number {
  return (row._event_time as Date).getTime();
}
