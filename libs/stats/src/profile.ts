import { AppError } from '@headrace/base/errors';

/** A numeric column as it was in training. All arrays are in column units; the trainer (Python) writes it as JSON. */
export interface NumericProfile {
  readonly name: string;
  readonly kind: 'numeric';
  /** Inner edges, strictly increasing, at most 127. */
  readonly edges: readonly number[];
  /** edges.length + 1 cells: cell i counts x in (edges[i-1], edges[i]]; the outer cells are open to infinity. */
  readonly counts: readonly number[];
  readonly nulls: number;
  /** Of the non-null values; NaN (null in JSON) when there are none. `std` is the population one (ddof 0). */
  readonly mean: number;
  readonly std: number;
  readonly min: number;
  readonly max: number;
}

/** A categorical column as it was in training: counts[i] rows had categories[i]. */
export interface CategoricalProfile {
  readonly name: string;
  readonly kind: 'categorical';
  readonly categories: readonly string[];
  readonly counts: readonly number[];
  readonly nulls: number;
}

export type ColumnProfile = NumericProfile | CategoricalProfile;

export const PROFILE_EDGES_MAX = 127;
/** Beyond this a column is an identifier rather than a category. */
export const PROFILE_CATEGORIES_MAX = 10_000;

/** Checks JSON from outside (`REQUEST_INVALID`, naming column and field) and gives the typed profile. Unknown fields are ignored. */
export function parseProfile(raw: unknown): ColumnProfile {
  if (typeof raw !== 'object' || raw === null) throw refused('?', 'is not an object');
  const fields = raw as Record<string, unknown>;
  const name = fields['name'];
  if (typeof name !== 'string' || name === '') throw refused('?', '`name` must be a non-empty string');
  if (fields['kind'] === 'numeric') return parseNumeric(name, fields);
  if (fields['kind'] === 'categorical') return parseCategorical(name, fields);
  throw refused(name, '`kind` must be "numeric" or "categorical"');
}

/** Rows of the column that were not null. */
export function profileRows(profile: ColumnProfile): number {
  return profile.counts.reduce((sum, count) => sum + count, 0);
}

function parseNumeric(name: string, fields: Record<string, unknown>): NumericProfile {
  const edges = numbers(name, 'edges', fields['edges']);
  if (edges.length > PROFILE_EDGES_MAX) throw refused(name, `\`edges\` has ${edges.length} entries, the limit is ${PROFILE_EDGES_MAX}`);
  const unordered = edges.findIndex((edge, i) => i > 0 && edge <= edges[i - 1]!);
  if (unordered > 0) throw refused(name, `\`edges\` must increase strictly, but edges[${unordered}] = ${edges[unordered]} does not`);
  const counts = cellCounts(name, fields['counts'], edges.length + 1, 'edges.length + 1');
  const nulls = count(name, 'nulls', fields['nulls']);
  const empty = counts.every((n) => n === 0);
  const moment = (field: string): number => {
    const value = fields[field];
    if (empty && (value === null || value === undefined)) return NaN;
    return finite(name, field, value);
  };
  const profile = { mean: moment('mean'), std: moment('std'), min: moment('min'), max: moment('max') };
  if (profile.std < 0) throw refused(name, '`std` must not be negative');
  if (profile.min > profile.max) throw refused(name, '`min` is above `max`');
  return { name, kind: 'numeric', edges, counts, nulls, ...profile };
}

function parseCategorical(name: string, fields: Record<string, unknown>): CategoricalProfile {
  const categories = fields['categories'];
  if (!Array.isArray(categories) || !categories.every((category) => typeof category === 'string'))
    throw refused(name, '`categories` must be an array of strings');
  if (categories.length > PROFILE_CATEGORIES_MAX)
    throw refused(name, `\`categories\` has ${categories.length} entries, the limit is ${PROFILE_CATEGORIES_MAX}`);
  if (new Set(categories).size !== categories.length) throw refused(name, '`categories` has a duplicate');
  const counts = cellCounts(name, fields['counts'], categories.length, 'categories.length');
  return { name, kind: 'categorical', categories, counts, nulls: count(name, 'nulls', fields['nulls']) };
}

function cellCounts(name: string, raw: unknown, length: number, formula: string): number[] {
  const counts = numbers(name, 'counts', raw);
  if (counts.length !== length) throw refused(name, `\`counts\` has ${counts.length} entries, ${formula} = ${length} are needed`);
  return counts.map((value, i) => count(name, `counts[${i}]`, value));
}

function numbers(name: string, field: string, raw: unknown): number[] {
  if (!Array.isArray(raw)) throw refused(name, `\`${field}\` must be an array of numbers`);
  return raw.map((value, i) => finite(name, `${field}[${i}]`, value));
}

function count(name: string, field: string, raw: unknown): number {
  const value = finite(name, field, raw);
  if (!Number.isSafeInteger(value) || value < 0) throw refused(name, `\`${field}\` must be a whole number from 0, got ${value}`);
  return value;
}

function finite(name: string, field: string, raw: unknown): number {
  if (typeof raw !== 'number' || !Number.isFinite(raw))
    throw refused(name, `\`${field}\` must be a finite number, got ${JSON.stringify(raw) ?? 'nothing'}`);
  return raw;
}

function refused(name: string, reason: string): AppError {
  return new AppError('REQUEST_INVALID', `Profile of column ${name}: ${reason}.`, { details: { column: name } });
}
