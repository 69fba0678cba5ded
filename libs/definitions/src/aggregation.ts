import { z } from 'zod';
import type { ValueType } from './feature-field.js';
import { durationText, name, positiveDuration } from './scalars.js';

export const AGGREGATE_FUNCTIONS = [
  'count',
  'sum',
  'mean',
  'std',
  'min',
  'max',
  'last',
  'last_k',
  'approx_distinct',
  'percentile',
] as const;
export type AggregateFunction = (typeof AGGREGATE_FUNCTIONS)[number];

/** What a column must be for the function; count needs none. */
const NUMERIC_ONLY: ReadonlySet<AggregateFunction> = new Set(['sum', 'mean', 'std', 'min', 'max', 'last_k', 'percentile']);

/**
 * A value computed over the rows of an entity in sliding windows that end at the moment of reading. One feature for each window,
 * named `<name>_<window>`, such as `amount_sum_1h`; the window is written with the largest unit that divides it.
 */
export const aggregation = z
  .strictObject({
    function: z.enum(AGGREGATE_FUNCTIONS),
    /** A feature of the view; not for count. */
    column: name.optional(),
    windows: z.array(positiveDuration).min(1).max(16),
    /** Start of the names; `<column>_<function>` when unset. */
    name: name.optional(),
    /** last_k: how many. */
    k: z.int().min(1).max(100).optional(),
    /** percentile: which, such as 95. */
    percentile: z.number().min(0).max(100).optional(),
    description: z.string().optional(),
  })
  .superRefine((spec, context) => {
    const add = (path: string, message: string): void => void context.addIssue({ code: 'custom', path: [path], message });
    if (spec.function !== 'count' && spec.column === undefined) add('column', `${spec.function} needs the column that it is taken over`);
    if (spec.function === 'last_k' && spec.k === undefined) add('k', 'last_k needs k, the number of values');
    if (spec.function !== 'last_k' && spec.k !== undefined) add('k', `applies to last_k, not to ${spec.function}; remove it`);
    if (spec.function === 'percentile' && spec.percentile === undefined) add('percentile', 'percentile needs its percentile, such as 95');
    if (spec.function !== 'percentile' && spec.percentile !== undefined)
      add('percentile', `applies to percentile, not to ${spec.function}; remove it`);
    if (new Set(spec.windows).size !== spec.windows.length) add('windows', 'windows must differ from each other');
  });

export type Aggregation = z.output<typeof aggregation>;

/** One window of one aggregation. */
export interface AggregatedFeature {
  readonly name: string;
  readonly type: ValueType;
  /** Of last_k: a list of k numbers, the newest first; it is null until there are k of them. */
  readonly dimension?: number;
  readonly function: AggregateFunction;
  readonly column: string | undefined;
  readonly windowMs: number;
  readonly k?: number;
  readonly percentile?: number;
  readonly description: string;
}

export interface AggregatedColumn {
  readonly name: string;
  readonly type: ValueType;
}

/** The features that the aggregations of a view make. @param columnOf the view's stored features by name. */
export function aggregatedFeatures(
  aggregations: readonly Aggregation[],
  columnOf: ReadonlyMap<string, AggregatedColumn>,
): AggregatedFeature[] {
  return aggregations.flatMap((spec) => {
    const start = spec.name ?? (spec.column === undefined ? spec.function : `${spec.column}_${spec.function}`);
    const columnType = spec.column === undefined ? undefined : columnOf.get(spec.column)?.type;
    return spec.windows.map((windowMs): AggregatedFeature => ({
      name: `${start}_${durationText(windowMs)}`,
      type: typeOf(spec.function, columnType ?? 'float64'),
      ...(spec.function === 'last_k' ? { dimension: spec.k!, k: spec.k! } : {}),
      ...(spec.percentile === undefined ? {} : { percentile: spec.percentile }),
      function: spec.function,
      column: spec.column,
      windowMs,
      description: spec.description ?? '',
    }));
  });
}

/** Why an aggregation does not fit the columns of its view. */
export function aggregationFault(
  { function: of, column }: Aggregation,
  columnOf: ReadonlyMap<string, AggregatedColumn>,
): string | undefined {
  if (column === undefined) return undefined;
  const found = columnOf.get(column);
  if (!found) return `the view has no feature ${column}; it has ${[...columnOf.keys()].join(', ')}`;
  if (NUMERIC_ONLY.has(of) && found.type !== 'int64' && found.type !== 'float64')
    return `${of} is taken over int64 or float64, and ${column} is ${found.type}`;
  return found.type === 'embedding' && of !== 'count' ? `${of} cannot be taken over an embedding` : undefined;
}

function typeOf(of: AggregateFunction, column: ValueType): ValueType {
  switch (of) {
    case 'count':
    case 'approx_distinct':
      return 'int64';
    case 'mean':
    case 'std':
    case 'percentile':
    case 'sum':
      return 'float64';
    case 'last_k':
      return 'embedding';
    case 'min':
    case 'max':
    case 'last':
      return column;
  }
}
