import { assert } from '@headrace/base/assert';
import pg from 'pg';

const { builtins } = pg.types;
/** Array types that pg's list of names lacks. */
const INT8_ARRAY = 1016;
const NUMERIC_ARRAY = 1231;
const DATE_ARRAY = 1182;

const safeInteger = (text: string): number => {
  const value = Number(text);
  assert(Number.isSafeInteger(value), `an int8 below 2^53 (cast larger ones to text in the query), got ${text}`);
  return value;
};
const asText = (text: string): string => text;

/** `{1,2,NULL}` of a type whose elements need no quotes. */
const listOf =
  <T>(element: (text: string) => T) =>
  (text: string): (T | null)[] =>
    text === '{}'
      ? []
      : text
          .slice(1, -1)
          .split(',')
          .map((part) => (part === 'NULL' ? null : element(part)));

const PARSERS = new Map<number, (text: string) => unknown>([
  [builtins.INT8, safeInteger],
  [INT8_ARRAY, listOf(safeInteger)],
  [builtins.NUMERIC, Number],
  [NUMERIC_ARRAY, listOf(Number)],
  // pg would make local midnight of a date: another day east of Greenwich.
  [builtins.DATE, asText],
  [DATE_ARRAY, listOf(asText)],
]);

/** int8 and numeric -> number, date -> 'YYYY-MM-DD', timestamptz -> Date, json -> object; the rest as pg does. */
export const typeParsers: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary'): ((text: string) => unknown) =>
    (format !== 'binary' ? PARSERS.get(oid) : undefined) ??
    (pg.types.getTypeParser(oid, format as 'text') as (text: string) => unknown)) as pg.CustomTypesConfig['getTypeParser'],
};
