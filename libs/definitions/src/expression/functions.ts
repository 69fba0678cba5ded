import { CALENDAR_PARTS, calendarPart } from '../calendar.js';
import type { ExpressionType, ExpressionValue } from './value.js';

/** Longest text that an expression makes; a longer one is null, so that a row can never cost more memory than this. */
export const TEXT_MAX = 10_000;

/** A function of values that are not null. What it answers with NaN, infinity or an unsafe whole number becomes null. */
export interface ExpressionFunction {
  /** What each argument must be. */
  readonly args: readonly ExpressionType[];
  /** Of `args`, how many at the end may be left out. */
  readonly optional?: number;
  /** The last argument may come again any number of times. */
  readonly isRepeated?: boolean;
  /** Arguments that must be written out as a literal, by index: they are checked when the definition is applied. */
  readonly literal?: Readonly<Record<number, (value: ExpressionValue) => string | undefined>>;
  readonly result: ExpressionType | 'same';
  readonly call: (...args: never[]) => ExpressionValue;
}

/** JavaScript's own result for the one operation, IEEE 754 double precision. */
const numeric = (call: (x: number) => number, result: ExpressionType | 'same' = 'float64'): ExpressionFunction => ({
  args: ['float64'],
  result,
  call,
});

const text = (call: (x: string) => ExpressionValue, result: ExpressionType = 'string'): ExpressionFunction => ({
  args: ['string'],
  result,
  call,
});

export const FUNCTIONS: Readonly<Record<string, ExpressionFunction>> = {
  abs: numeric(Math.abs, 'same'),
  sign: numeric(Math.sign, 'int64'),
  floor: numeric(Math.floor, 'int64'),
  ceil: numeric(Math.ceil, 'int64'),
  /** Halves go up: 2.5 is 3 and -2.5 is -2. */
  round: numeric(Math.round, 'int64'),
  sqrt: numeric(Math.sqrt),
  exp: numeric(Math.exp),
  ln: numeric(Math.log),
  log10: numeric(Math.log10),
  pow: { args: ['float64', 'float64'], result: 'float64', call: (x: number, y: number) => x ** y },
  min: { args: ['float64', 'float64'], isRepeated: true, result: 'same', call: (...x: number[]) => Math.min(...x) },
  max: { args: ['float64', 'float64'], isRepeated: true, result: 'same', call: (...x: number[]) => Math.max(...x) },

  length: text((x) => x.length, 'int64'),
  lower: text((x) => x.toLowerCase()),
  upper: text((x) => x.toUpperCase()),
  trim: text((x) => x.trim()),
  concat: { args: ['string', 'string'], isRepeated: true, result: 'string', call: (...x: string[]) => x.join('') },
  /** From a place that counts from 0, so many UTF-16 units. */
  substring: {
    args: ['string', 'int64', 'int64'],
    result: 'string',
    call: (x: string, from: number, length: number) => x.slice(Math.max(0, from), Math.max(0, from) + Math.max(0, length)),
  },
  contains: { args: ['string', 'string'], result: 'bool', call: (x: string, part: string) => x.includes(part) },
  starts_with: { args: ['string', 'string'], result: 'bool', call: (x: string, part: string) => x.startsWith(part) },
  ends_with: { args: ['string', 'string'], result: 'bool', call: (x: string, part: string) => x.endsWith(part) },
  replace: {
    args: ['string', 'string', 'string'],
    result: 'string',
    call: (x: string, from: string, to: string) => replaceAll(x, from, to),
  },
  /** Null when the text is no number as JSON writes one. */
  to_number: text((x) => (/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(x) ? Number(x) : null), 'float64'),

  /** 1 for true and 0 for false. */
  to_int: { args: ['bool'], result: 'int64', call: (x: boolean) => (x ? 1 : 0) },

  seconds_between: { args: ['timestamp', 'timestamp'], result: 'float64', call: (from: number, to: number) => (to - from) / 1000 },
  add_seconds: { args: ['timestamp', 'float64'], result: 'timestamp', call: (at: number, s: number) => Math.round(at + s * 1000) },
  epoch_seconds: { args: ['timestamp'], result: 'float64', call: (at: number) => at / 1000 },
  ...Object.fromEntries(
    CALENDAR_PARTS.filter((part) => part !== 'is_holiday').map((part): [string, ExpressionFunction] => [
      part,
      {
        args: ['timestamp', 'string'],
        optional: 1,
        literal: { 1: zoneFault },
        result: part === 'is_weekend' ? 'bool' : 'int64',
        call: (at: number, zone = 'UTC') => calendarPart(part, at, zone),
      },
    ]),
  ),
  is_holiday: {
    args: ['timestamp', 'string', 'string'],
    optional: 1,
    literal: { 1: countryFault, 2: zoneFault },
    result: 'bool',
    call: (at: number, country: string, zone = 'UTC') => calendarPart('is_holiday', at, zone, country),
  },

  /** One number of an embedding, from 0; null beyond its end. */
  at: { args: ['embedding', 'int64'], result: 'float64', call: (x: readonly number[], i: number) => x[i] ?? null },
  dot: {
    args: ['embedding', 'embedding'],
    result: 'float64',
    call: (x: readonly number[], y: readonly number[]) => (x.length === y.length ? dot(x, y) : null),
  },
  norm: { args: ['embedding'], result: 'float64', call: (x: readonly number[]) => Math.sqrt(dot(x, x)) },
};

function dot(x: readonly number[], y: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}

/** Bounded while it works: a replacement can be far longer than what it replaces. */
function replaceAll(text: string, from: string, to: string): string | null {
  if (from === '') return text;
  const parts = text.split(from);
  const length = text.length + (parts.length - 1) * (to.length - from.length);
  return length > TEXT_MAX ? null : parts.join(to);
}

function zoneFault(value: ExpressionValue): string | undefined {
  try {
    calendarPart('hour', 0, String(value));
    return undefined;
  } catch {
    return `${JSON.stringify(value)} is no time zone; take an IANA name such as 'Europe/Berlin'`;
  }
}

function countryFault(value: ExpressionValue): string | undefined {
  try {
    calendarPart('is_holiday', 0, 'UTC', String(value));
    return undefined;
  } catch {
    return `no holidays are known for ${JSON.stringify(value)}; take a country such as 'US' or a state such as 'DE-BY'`;
  }
}
