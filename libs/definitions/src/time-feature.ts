import { z } from 'zod';
import type { AggregatedFeature } from './aggregation.js';
import { CALENDAR_PARTS, calendarPart, isKnownCountry } from './calendar.js';
import type { ValueType } from './feature-field.js';
import { name, positiveDuration } from './scalars.js';

const timeZone = z.string().refine(isTimeZone, 'an IANA time zone such as Europe/Berlin or UTC');
const description = z.string().optional();

/**
 * What a calendar part is taken of: the event time of the row, the moment of reading (the time of the label row in a training set),
 * or a feature of type timestamp.
 */
const of = z.union([z.literal('event_time'), z.literal('now'), name]).default('event_time');

/** Features made of time alone. They are computed at reading by the same code online and offline; nothing of them is stored. */
export const timeFeature = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('calendar'),
    name,
    part: z.enum(CALENDAR_PARTS),
    of,
    timeZone: timeZone.default('UTC'),
    /** is_holiday: ISO 3166-1 code, with the state behind a dash where wanted: `US`, `DE-BY`. Public holidays count. */
    country: z
      .string()
      .regex(/^[A-Z]{2}(-[A-Z0-9]{1,3})?$/, 'a country such as US, or with its state DE-BY')
      .optional(),
    description,
  }),
  /** Seconds from the newest event (or from a feature of type timestamp) to the moment of reading. */
  z.strictObject({ kind: z.literal('recency'), name, of: z.union([z.literal('event_time'), name]).default('event_time'), description }),
  /** Rows of the entity in the window that ends at the moment of reading: an aggregation `count` under this name. */
  z.strictObject({ kind: z.literal('frequency'), name, window: positiveDuration, description }),
]);

export type TimeFeature = z.output<typeof timeFeature>;

export interface TimeColumn {
  readonly name: string;
  readonly type: ValueType;
}

export function timeFeatureType(feature: TimeFeature): ValueType {
  if (feature.kind === 'recency') return 'float64';
  if (feature.kind === 'frequency') return 'int64';
  return feature.part === 'is_weekend' || feature.part === 'is_holiday' ? 'bool' : 'int64';
}

/** A frequency is counted by the code of the aggregations. */
export function frequencyAggregation({ name: of, window, description: text = '' }: TimeFeature & { kind: 'frequency' }): AggregatedFeature {
  return { name: of, type: 'int64', function: 'count', column: undefined, windowMs: window, description: text };
}

/** Why a time feature does not fit the columns of its view. */
export function timeFeatureFault(feature: TimeFeature, columnOf: ReadonlyMap<string, TimeColumn>): string | undefined {
  if (feature.kind === 'calendar') {
    const needsCountry = feature.part === 'is_holiday';
    if (needsCountry && feature.country === undefined) return 'is_holiday needs a country, such as `country: US`';
    if (feature.country !== undefined && !isKnownCountry(feature.country))
      return `no holidays are known for ${feature.country}; take a country such as US, or a state such as DE-BY`;
    if (!needsCountry && feature.country !== undefined) return `country applies to is_holiday, not to ${feature.part}; remove it`;
  }
  if (feature.kind === 'frequency' || feature.of === 'event_time' || feature.of === 'now') return undefined;
  const column = columnOf.get(feature.of);
  if (!column) return `the view has no feature ${feature.of}; take event_time or a feature of type timestamp`;
  return column.type === 'timestamp' ? undefined : `${feature.of} is ${column.type}; take event_time or a feature of type timestamp`;
}

function isTimeZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }) !== undefined;
  } catch {
    return false;
  }
}

/** What the value of a time feature is taken from. */
export interface TimeContext {
  /** Of the row; undefined when there is none, and then the feature is null. */
  readonly eventTimeMs: number | undefined;
  /** The moment of reading. */
  readonly nowMs: number;
  /** Of the feature named by `of`, when it is neither `event_time` nor `now`. */
  readonly columnMs: number | null;
}

/** The one computation of calendar parts and recency, online and offline. */
export function timeFeatureValue(
  feature: Exclude<TimeFeature, { kind: 'frequency' }>,
  { eventTimeMs, nowMs, columnMs }: TimeContext,
): number | boolean | null {
  if (eventTimeMs === undefined) return null;
  const ms = feature.of === 'event_time' ? eventTimeMs : feature.of === 'now' ? nowMs : columnMs;
  if (ms === null) return null;
  if (feature.kind === 'recency') return (nowMs - ms) / 1000;
  return calendarPart(feature.part, ms, feature.timeZone, feature.country);
}
