import { z } from 'zod';
import { patternFault, PATTERN_TEXT_MAX } from './safe-pattern.js';
import { name } from './scalars.js';

/**
 * Types of a feature value. Timestamps travel as ISO 8601 text or epoch milliseconds. An embedding is a list of exactly `dimension`
 * numbers, kept as 32-bit floats in every store, so that what is served and what is trained on are the same bits.
 */
export const VALUE_TYPES = ['int64', 'float64', 'string', 'bool', 'timestamp', 'embedding'] as const;
export type ValueType = (typeof VALUE_TYPES)[number];

export const DIMENSION_MAX = 4096;

/** One stored feature of a view, with the rules that a value must pass before it is stored. */
export const featureField = z
  .strictObject({
    name,
    type: z.enum(VALUE_TYPES),
    /** Of an embedding, and of nothing else. */
    dimension: z.int().min(1).max(DIMENSION_MAX).optional(),
    description: z.string().default(''),
    /** A code, not a quantity: compared by share, one-hot or category split in learners. */
    categorical: z.boolean().default(false),
    nullable: z.boolean().default(true),
    /** Refused outside; int64 and float64, and each number of an embedding. */
    min: z.number().optional(),
    max: z.number().optional(),
    /** Refused when not among these; texts and integer codes. */
    oneOf: z
      .array(z.union([z.string(), z.number()]))
      .min(1)
      .optional(),
    /** Texts: a regular expression that the whole text must match. */
    pattern: z.string().min(1).max(500).optional(),
    /** Texts: longest, in UTF-16 units. */
    maxLength: z.int().min(1).max(1_000_000).optional(),
    pii: z.boolean().default(false),
  })
  .superRefine((field, context) => {
    for (const { path, message } of fieldFaults(field)) context.addIssue({ code: 'custom', path: [path], message });
  });

export type FeatureField = z.output<typeof featureField>;

type Unchecked = Pick<FeatureField, 'type' | 'dimension' | 'min' | 'max' | 'oneOf' | 'pattern' | 'maxLength'>;

function fieldFaults({ type, dimension, min, max, oneOf, pattern, maxLength }: Unchecked): { path: string; message: string }[] {
  const faults: { path: string; message: string }[] = [];
  const add = (path: string, message: string): void => void faults.push({ path, message });
  const isNumber = type === 'int64' || type === 'float64';
  if (type === 'embedding' && dimension === undefined) add('dimension', 'an embedding needs its dimension, such as `dimension: 64`');
  if (type !== 'embedding' && dimension !== undefined) add('dimension', `applies to an embedding, not to ${type}; remove it`);
  for (const [key, value] of [['min', min] as const, ['max', max] as const]) {
    if (value !== undefined && !isNumber && type !== 'embedding')
      add(key, `min and max apply to int64, float64 and embedding, not to ${type}; remove it`);
  }
  if (min !== undefined && max !== undefined && min > max) add('min', `min ${min} is above max ${max}; exchange them`);
  if (oneOf) {
    if (!isNumber && type !== 'string') add('oneOf', `applies to string, int64 and float64, not to ${type}; remove it`);
    else if (oneOf.some((value) => typeof value !== (type === 'string' ? 'string' : 'number')))
      add('oneOf', `oneOf must list values of type ${type}`);
  }
  if (pattern !== undefined) {
    if (type !== 'string') add('pattern', `applies to string, not to ${type}; remove it`);
    const fault = patternFault(pattern);
    if (fault) add('pattern', fault);
    if (maxLength !== undefined && maxLength > PATTERN_TEXT_MAX)
      add('maxLength', `with a pattern at most ${PATTERN_TEXT_MAX}, so that matching stays fast`);
  }
  if (maxLength !== undefined && type !== 'string') add('maxLength', `applies to string, not to ${type}; remove it`);
  return faults;
}
