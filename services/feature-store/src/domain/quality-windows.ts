import type { MergedRow } from './row-order.js';
import { WindowTally, type WindowStatistics } from './quality-statistics.js';
import type { View, ViewSpec } from './view.js';

export type QualityObjective = NonNullable<ViewSpec['quality']>;

/** Windows of another length or clock are other windows; those of an older definition fade away. */
export function windowShape({ by, window }: QualityObjective): string {
  return `${by}/${window}`;
}

/** The fixed span of the reference; its windows are kept beside the newest ones. Empty for a reference that moves along. */
export function pinnedSpan({ reference }: QualityObjective): { readonly fromMs: number; readonly toMs: number } {
  return 'windows' in reference ? { fromMs: 0, toMs: 0 } : { fromMs: Date.parse(reference.from), toMs: Date.parse(reference.to) };
}

/**
 * Statistics of new rows by the start of their window: of the newest windows and of the reference, which alone are kept. So whatever the
 * order in which rows come, the same windows remain, each with all of its rows.
 */
export function statisticsOf({ spec: { quality, features } }: View, rows: readonly MergedRow[]): Map<number, WindowStatistics> {
  const startOf = ({ eventTimeMs, firstIngestUs }: MergedRow): number =>
    windowStart(quality!, quality!.by === 'event' ? eventTimeMs : firstIngestUs / 1000);
  const kept = keptStarts(quality!, new Set(rows.map(startOf)));
  const tallies = new Map<number, WindowTally>();
  for (const row of rows) {
    const start = startOf(row);
    if (!kept.has(start)) continue;
    let tally = tallies.get(start);
    if (!tally) tallies.set(start, (tally = new WindowTally(features)));
    tally.add(row.values);
  }
  return new Map([...tallies].map(([start, tally]) => [start, tally.finish()]));
}

export function windowStart({ window }: QualityObjective, timeMs: number): number {
  return Math.floor(timeMs / window) * window;
}

function keptStarts(quality: QualityObjective, starts: ReadonlySet<number>): ReadonlySet<number> {
  const { fromMs, toMs } = pinnedSpan(quality);
  const isPinned = (start: number): boolean => start >= fromMs && start < toMs;
  const newest = [...starts]
    .filter((start) => !isPinned(start))
    .sort((a, b) => b - a)
    .slice(0, quality.keep);
  return new Set([...newest, ...[...starts].filter(isPinned)]);
}
