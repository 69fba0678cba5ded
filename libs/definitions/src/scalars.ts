import { NAME_PATTERN } from '@headrace/base/ids';
import { z } from 'zod';

export const name = z.string().regex(NAME_PATTERN, 'letters, digits, _ and -, starting with a letter, at most 63');

/** `90s`, `15m`, `24h`, `400d`, or plain milliseconds (0 = never); read as milliseconds, so that parsing twice changes nothing. */
export const duration = z
  .union([z.int().nonnegative(), z.string().regex(/^\d+(ms|s|m|h|d)$/, 'a duration such as 90s, 15m, 24h, 400d')], {
    error: 'a duration such as 90s, 15m, 24h, 400d is wanted',
  })
  .transform(toMs);

/** A duration that cannot be zero. */
export const positiveDuration = duration.refine((ms) => ms > 0, 'a duration longer than 0 is wanted');

/** The largest unit that divides it: 86,400,000 is `1d`, 5,400,000 is `90m`. The inverse of `duration`. */
export function durationText(ms: number): string {
  const unit = (['d', 'h', 'm', 's', 'ms'] as const).find((candidate) => ms % UNIT_MS[candidate] === 0) ?? 'ms';
  return `${ms / UNIT_MS[unit]}${unit}`;
}

/** Dropped from the spec when it says the default, so that a key added in a later release changes no hash of older definitions. */
export const flag = z
  .boolean()
  .optional()
  .transform((value) => value || undefined);

/** A list that counts as absent when it is empty; for the same reason. */
export function optionalList<T extends z.ZodType>(element: T, max: number): OptionalList<T> {
  return z
    .array(element)
    .max(max)
    .optional()
    .transform((list) => (list && list.length > 0 ? list : undefined));
}

type OptionalList<T extends z.ZodType> = z.ZodPipe<
  z.ZodOptional<z.ZodArray<T>>,
  z.ZodTransform<z.output<T>[] | undefined, z.output<T>[] | undefined>
>;

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

function toMs(value: string | number): number {
  if (typeof value === 'number') return value;
  const [, digits, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(value)!;
  return Number(digits) * UNIT_MS[unit as keyof typeof UNIT_MS];
}
