import type { FeatureValue } from '@headrace/codec/feature-blob';
import { isExpired } from './freshness.js';
import type { OnlineValue } from './online-vector.js';
import type { MergedRow } from './row-order.js';
import type { View } from './view.js';

/** Another value; nothing or an older row; a row that should not be seen. */
export type SkewKind = 'mismatch' | 'missing' | 'extra';

export interface Skew {
  readonly feature: string;
  readonly kind: SkewKind;
  readonly served: FeatureValue;
  readonly expected: FeatureValue;
  /** Of the row that was served, or should have been. */
  readonly eventTimeMs: number | undefined;
}

type StoredRow = Pick<MergedRow, 'eventTimeMs' | 'contentHash' | 'values'>;

/** One entity, looked at in this order: `before` offline, `served` online, `after` offline. */
export interface Look {
  /** In the order of the view's features. */
  readonly served: readonly OnlineValue[];
  readonly servedAtMs: number;
  /** Newest row offline before the read: online must have it or a newer one, but for writes under way. */
  readonly before: StoredRow | undefined;
  /** Rows offline after the read with the event time that was served, newest arrival first. */
  readonly after: readonly StoredRow[];
}

/** An expired value may be shown this long, for the time between the read and the look at the clock. */
const CLOCK_SLACK_MS = 1_000;

/**
 * What was served against what the offline store says for the same moment. A row is written offline first, so online is never ahead;
 * it may be behind by the writes under way, so whoever finds something looks again before he says so.
 */
export function findSkew(view: View, look: Look): Skew[] {
  const { served, before, after } = look;
  const servedMs = served[0]?.eventTimeMs;
  if (servedMs === undefined) return before ? all(view, 'missing', served, before) : [];
  if (before && before.eventTimeMs > servedMs) return all(view, 'missing', served, before);
  if (after.length === 0) return all(view, 'extra', served, undefined);
  return skewOfAge(view, look, servedMs) ?? skewOfValues(view, look);
}

function skewOfAge(view: View, { served, servedAtMs, after }: Look, servedMs: number): Skew[] | undefined {
  const { ttl } = view.spec;
  const hidden = served.some(({ status }) => status === 'outside_max_age');
  if (hidden) return isExpired(servedMs, servedAtMs, ttl) ? [] : all(view, 'missing', served, after[0]);
  return isExpired(servedMs, servedAtMs - CLOCK_SLACK_MS, ttl) ? all(view, 'extra', served, undefined) : undefined;
}

/** Of several rows of one instant, any that arrived no earlier than the one known before the read may be served. */
function skewOfValues(view: View, { served, before, after }: Look): Skew[] {
  const oldest = before ? after.findIndex((row) => row.eventTimeMs === before.eventTimeMs && row.contentHash === before.contentHash) : -1;
  const allowed = after.slice(0, oldest < 0 ? after.length : oldest + 1);
  let fewest: Skew[] | undefined;
  for (const row of allowed) {
    const found = view.spec.features.flatMap(({ name }, i): Skew[] =>
      same(served[i]!.value, row.values[i]!)
        ? []
        : [{ feature: name, kind: 'mismatch', served: served[i]!.value, expected: row.values[i]!, eventTimeMs: row.eventTimeMs }],
    );
    if (!fewest || found.length < fewest.length) fewest = found;
  }
  return fewest ?? [];
}

function all(view: View, kind: SkewKind, served: readonly OnlineValue[], row: StoredRow | undefined): Skew[] {
  return view.spec.features.map(({ name }, i) => ({
    feature: name,
    kind,
    served: served[i]?.value ?? null,
    expected: row?.values[i] ?? null,
    eventTimeMs: row?.eventTimeMs ?? served[i]?.eventTimeMs,
  }));
}

function same(a: FeatureValue, b: FeatureValue): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((value, i) => Object.is(value, (b as readonly number[])[i]));
  return Object.is(a, b);
}
