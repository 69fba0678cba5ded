import { partitionOf, type Partition } from './partition.js';
import type { View } from './view.js';

/**
 * What of a view's history is past its retention. A join within the retention asks at moments from `cutMs` on and reads back from there by the time to live
 * and the longest window, so rows of event times from `floorMs` on stay as they are.
 */
export interface Retention {
  /** The oldest moment that joins may ask about. */
  readonly cutMs: number;
  readonly floorMs: number;
  /**
   * Without a time to live the newest row of an entity is needed for ever: of what lies before the floor, only rows go that another one
   * has replaced for every join within the retention.
   */
  readonly keepsNewest: boolean;
}

export function retentionOf({ spec, windows }: View, nowMs: number): Retention | undefined {
  if (spec.retention === undefined) return undefined;
  const longest = windows?.windows.at(-1);
  const cutMs = nowMs - spec.retention;
  return { cutMs, floorMs: cutMs - Math.max(spec.ttl, longest ? longest.lengthMs + longest.hopMs : 0), keepsNewest: spec.ttl === 0 };
}

/** Partitions of a view with a short retention are months, so that it is kept to about a month. */
const MONTHLY_BELOW_MS = 800 * 86_400_000;

export function partitionMonthsFor({ retention }: Pick<View['spec'], 'retention'>): number {
  return retention !== undefined && retention < MONTHLY_BELOW_MS ? 1 : 12;
}

/** The partition of a table `view_rows_<id>_p<suffix>`. */
export function partitionNamed(suffix: string, months: number): Partition {
  return partitionOf(Date.UTC(Number(suffix.slice(0, 4)), Number(suffix.slice(4)) - 1), months);
}
