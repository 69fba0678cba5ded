import { NAME_PATTERN } from '@headrace/base/ids';
import { z } from 'zod';

export const name = z.string().regex(NAME_PATTERN, 'letters, digits, _ and -, starting with a letter, at most 63');

/** `90s`, `15m`, `24h`, `400d`, or plain milliseconds (0 = never); read as milliseconds, so that parsing twice changes nothing. */
export const duration = z
  .union([z.int().nonnegative(), z.string().regex(/^\d+(ms|s|m|h|d)$/, 'a duration such as 90s, 15m, 24h, 400d')])
  .transform(toMs);

/** Types of a feature value. Timestamps travel as ISO 8601 text or epoch milliseconds. */
export const VALUE_TYPES = ['int64', 'float64', 'string', 'bool', 'timestamp'] as const;
export type ValueType = (typeof VALUE_TYPES)[number];

export const entitySpec = z.strictObject({
  description: z.string().default(''),
  /** The keys that together name one entity, in order. */
  joinKeys: z.array(name).min(1).max(8),
});

export const featureField = z.strictObject({
  name,
  type: z.enum(VALUE_TYPES),
  description: z.string().default(''),
  /** A code, not a quantity: compared by share, one-hot or category split in learners. */
  categorical: z.boolean().default(false),
  nullable: z.boolean().default(true),
  /** Refused outside; numbers only. */
  min: z.number().optional(),
  max: z.number().optional(),
  /** Refused when not among these; texts and integer codes. */
  oneOf: z.array(z.union([z.string(), z.number()])).optional(),
  pii: z.boolean().default(false),
});

export const featureViewSpec = z.strictObject({
  description: z.string().default(''),
  owner: z.string().default(''),
  tags: z.array(z.string()).default([]),
  entity: name,
  /** Values older than this are not served and not joined; 0 = they never expire. */
  ttl: duration.default(0),
  /** false = kept in the offline store only (labels). */
  online: z.boolean().default(true),
  features: z
    .array(featureField)
    .min(1)
    .max(1000)
    .refine((fields) => new Set(fields.map((f) => f.name)).size === fields.length, 'feature names must be unique'),
});

/** `view:feature` */
export const featureReference = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,62}:[A-Za-z][A-Za-z0-9_-]{0,62}$/, 'a reference `view:feature`');

export interface FeatureReference {
  readonly view: string;
  readonly feature: string;
}

export function splitReference(reference: string): FeatureReference {
  const colon = reference.indexOf(':');
  return { view: reference.slice(0, colon), feature: reference.slice(colon + 1) };
}

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

function toMs(value: string | number): number {
  if (typeof value === 'number') return value;
  const [, digits, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(value)!;
  return Number(digits) * UNIT_MS[unit as keyof typeof UNIT_MS];
}
