import { readJsonRow } from './json-row.js';
import type { IncomingRow } from './feature-row.js';
import type { Field, View } from './view.js';

/** A row of a file or of a query: column name -> text, number, boolean, bigint, Date or null. */
export type TableRow = Readonly<Record<string, unknown>>;

/** Why a table cannot be read as rows of the view; undefined when it can. Columns that nobody asked for are mostly typing mistakes. */
export function columnsFault(view: View, eventTimeColumn: string, columns: readonly string[]): string | undefined {
  const needed = [...view.joinKeys, eventTimeColumn];
  const missing = needed.filter((name) => !columns.includes(name));
  if (missing.length > 0) return `columns are missing: ${missing.join(', ')}; there are ${columns.join(', ')}`;
  const others = columns.filter((name) => !needed.includes(name) && !view.fieldIndex.has(name));
  if (others.length > 0) return `${others.join(', ')} are no features of view ${view.name}; leave these columns out, or rename them`;
  return undefined;
}

/** What does not fit its feature is left as it is, and validation refuses that row alone. */
export function readTableRow(view: View, eventTimeColumn: string, row: TableRow): IncomingRow {
  return readJsonRow({
    entity: Object.fromEntries(view.joinKeys.map((key) => [key, keyOf(row[key])])),
    eventTime: readTime(row[eventTimeColumn]),
    values: Object.fromEntries(
      view.spec.features.filter(({ name }) => row[name] !== undefined).map((field) => [field.name, readCell(field, row[field.name])]),
    ),
  });
}

function keyOf(cell: unknown): unknown {
  return typeof cell === 'bigint' ? String(cell) : cell;
}

const NUMBER = /^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$/;

function readCell({ type }: Field, cell: unknown): unknown {
  if (cell === null || (cell === '' && type !== 'string')) return null;
  if (typeof cell === 'bigint') return Number(cell); // beyond 2^53 it is refused as inexact
  if (cell instanceof Date) return cell.getTime();
  if (typeof cell !== 'string') return cell;
  if (type === 'int64' || type === 'float64') return NUMBER.test(cell) ? Number(cell) : cell;
  if (type === 'bool') return /^true$/i.test(cell) ? true : /^false$/i.test(cell) ? false : cell;
  return type === 'timestamp' ? readTime(cell) : cell;
}

const DATE = /^\d{4}-\d\d-\d\d$/;
const NO_ZONE = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?$/;

/** Dates are midnight, and times without a zone are UTC. */
function readTime(cell: unknown): unknown {
  if (cell instanceof Date) return Number.isNaN(cell.getTime()) ? 'no date' : cell.toISOString();
  if (typeof cell !== 'string') return cell;
  if (DATE.test(cell)) return `${cell}T00:00:00Z`;
  const text = cell.replace(' ', 'T');
  return NO_ZONE.test(text) ? `${text}Z` : text;
}
