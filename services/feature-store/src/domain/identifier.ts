import { NAME_PATTERN } from '@headrace/base/ids';
import { assert } from '@headrace/base/assert';

/** A validated name as a quoted SQL identifier. Definitions are checked at the door; the assert is for our own mistakes. */
export function quoteName(name: string): string {
  assert(NAME_PATTERN.test(name), `a validated name, got ${JSON.stringify(name)}`);
  return `"${name}"`;
}

/** Table of a view's rows. By number, because project and view name together exceed Postgres' 63 bytes. */
export function rowTable(viewId: number): string {
  assert(Number.isSafeInteger(viewId) && viewId > 0, 'a view id');
  return `view_rows_${viewId}`;
}

/** Columns of every row table; features follow under their own names, which cannot start with an underscore. */
export const ROW_COLUMNS = ['_entity', '_event_time', '_content', '_first_ingest', '_last_ingest'] as const;

/** Single key values, stored beside `_entity` when there are several: training sets show them, joins on fewer keys need them. */
export function keyColumns(joinKeys: readonly unknown[]): string[] {
  return joinKeys.length > 1 ? joinKeys.map((_, i) => `_key_${i}`) : [];
}

/** Column names that Postgres keeps for itself. */
export const RESERVED_COLUMNS: ReadonlySet<string> = new Set(['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid']);

export const SQL_TYPES = {
  int64: 'bigint',
  float64: 'double precision',
  string: 'text',
  bool: 'boolean',
  timestamp: 'timestamptz',
  embedding: 'real[]',
} as const;
