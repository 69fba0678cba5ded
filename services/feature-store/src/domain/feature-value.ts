import type { FeatureValue } from '@headrace/codec/feature-blob';
import { compilePattern, PATTERN_TEXT_MAX } from '@headrace/definitions/safe-pattern';
import type { Field } from './view.js';

export interface ValueLimits {
  /** Longest string value, in UTF-16 units. */
  readonly stringLengthMax: number;
}

/** Why a value does not fit; an object, so that it cannot be taken for a value. */
export interface ValueFault {
  readonly fault: string;
  readonly feature: string;
}

export function isValueFault(value: FeatureValue | ValueFault): value is ValueFault {
  return typeof value === 'object' && value !== null && 'fault' in value;
}

/** Years 1 to 9999: what Postgres, Parquet and ISO 8601 text can all hold. */
const TIMESTAMP_MIN_MS = -62_135_596_800_000;
const TIMESTAMP_MAX_MS = 253_402_300_799_999;
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/** One value against its field. Types are strict: "46" is no int64, 1 is no bool. Missing counts as null. */
export function readField(field: Field, given: unknown, limits: ValueLimits): FeatureValue | ValueFault {
  if (given === null || given === undefined)
    return field.nullable ? null : fault(field, 'is missing or null and the feature is not nullable');
  const value = ofType(field, given, limits);
  if (value === null || isValueFault(value)) return value;
  return ruleFault(field, value) ?? value;
}

function ofType(field: Field, given: unknown, limits: ValueLimits): FeatureValue | ValueFault {
  switch (field.type) {
    case 'int64':
      if (typeof given !== 'number') return wrongType(field, given);
      if (!Number.isInteger(given)) return fault(field, `is ${shown(field, given)}; int64 wants a whole number`);
      if (!Number.isSafeInteger(given)) return fault(field, `is ${shown(field, given)}; beyond 2^53 a whole number is not exact`);
      return given + 0; // -0 becomes 0, so that equal content has equal bytes
    case 'float64':
      if (typeof given !== 'number') return wrongType(field, given);
      return Number.isFinite(given) ? given + 0 : fault(field, `is ${given}; send null for a missing number`);
    case 'bool':
      return typeof given === 'boolean' ? given : wrongType(field, given);
    case 'string':
      return typeof given === 'string' ? readString(field, given, limits) : wrongType(field, given);
    case 'timestamp':
      return readTimestamp(field, given);
    case 'embedding':
      return Array.isArray(given) ? readEmbedding(field, given) : wrongType(field, given);
  }
}

function readString(field: Field, given: string, limits: ValueLimits): string | ValueFault {
  if (given.length > limits.stringLengthMax)
    return fault(field, `has ${given.length} characters; at most ${limits.stringLengthMax} are allowed`);
  if (given.includes('\0')) return fault(field, 'contains a NUL character');
  return given.isWellFormed() ? given : fault(field, 'is not well-formed Unicode');
}

function readTimestamp(field: Field, given: unknown): number | ValueFault {
  if (typeof given !== 'number' && typeof given !== 'string') return wrongType(field, given);
  const ms = typeof given === 'number' ? given : RFC_3339.test(given) ? Date.parse(given) : Number.NaN;
  if (!Number.isInteger(ms)) return fault(field, `is ${shown(field, given)}; timestamp wants RFC 3339 text or whole epoch milliseconds`);
  return ms >= TIMESTAMP_MIN_MS && ms <= TIMESTAMP_MAX_MS ? ms + 0 : fault(field, 'lies outside of the years 1 to 9999');
}

/** Rounded to 32-bit floats here, before anything is stored or hashed. */
function readEmbedding(field: Field, given: readonly unknown[]): number[] | ValueFault {
  if (given.length !== field.dimension) return fault(field, `has ${given.length} numbers; its dimension is ${field.dimension}`);
  const vector = new Array<number>(given.length);
  for (const [i, item] of given.entries()) {
    if (typeof item !== 'number') return fault(field, `has ${shown(field, item)} at position ${i}; a number wanted`);
    const value = Math.fround(item) + 0;
    if (!Number.isFinite(value)) return fault(field, `has ${shown(field, item)} at position ${i}, which no 32-bit float holds`);
    vector[i] = value;
  }
  return vector;
}

function ruleFault(field: Field, value: NonNullable<FeatureValue>): ValueFault | undefined {
  if (typeof value === 'number') return field.type === 'timestamp' ? undefined : (rangeFault(field, value) ?? choiceFault(field, value));
  if (typeof value === 'string') return choiceFault(field, value) ?? textFault(field, value);
  if (typeof value === 'boolean' || (field.min === undefined && field.max === undefined)) return undefined;
  for (const item of value) {
    const found = rangeFault(field, item);
    if (found) return found;
  }
  return undefined;
}

function rangeFault(field: Field, value: number): ValueFault | undefined {
  if (field.min !== undefined && value < field.min) return fault(field, `is ${shown(field, value)}, below its minimum ${field.min}`);
  if (field.max !== undefined && value > field.max) return fault(field, `is ${shown(field, value)}, above its maximum ${field.max}`);
  return undefined;
}

function choiceFault(field: Field, value: number | string): ValueFault | undefined {
  return field.oneOf && !field.oneOf.includes(value) ? fault(field, `is ${shown(field, value)}, not one of its allowed values`) : undefined;
}

function textFault(field: Field, value: string): ValueFault | undefined {
  const { pattern } = field;
  const lengthMax = field.maxLength ?? (pattern === undefined ? undefined : PATTERN_TEXT_MAX);
  if (lengthMax !== undefined && value.length > lengthMax)
    return fault(field, `has ${value.length} characters; its rule allows at most ${lengthMax}`);
  if (pattern === undefined || regexOf(pattern).test(value)) return undefined;
  return fault(field, `is ${shown(field, value)}, which does not match its pattern ${pattern}`);
}

/** One for each pattern of a definition in use; definitions are few. */
const regexes = new Map<string, RegExp>();

function regexOf(pattern: string): RegExp {
  let regex = regexes.get(pattern);
  if (!regex) {
    if (regexes.size >= REGEXES_MAX) regexes.clear();
    regexes.set(pattern, (regex = compilePattern(pattern)));
  }
  return regex;
}

const REGEXES_MAX = 10_000;

function wrongType(field: Field, given: unknown): ValueFault {
  const kind = Array.isArray(given) ? 'a list' : typeof given === 'object' ? 'an object' : `a ${typeof given}`;
  return fault(field, `is ${kind}; ${field.type} wanted`);
}

function fault(field: Field, what: string): ValueFault {
  return { fault: `${field.name} ${what}`, feature: field.name };
}

/** Reasons end up in logs and dead letters: personal values stay out, long ones are cut. */
function shown(field: Field, value: unknown): string {
  if (field.pii) return '(personal, not shown)';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
