import { createHash } from 'node:crypto';
import { assert } from '@headrace/base/assert';

export type WindowFunction = 'count' | 'sum' | 'mean' | 'std' | 'min' | 'max' | 'last' | 'last_k' | 'approx_distinct' | 'percentile';

/** One window of one aggregation, as `aggregationsOf` in libs/definitions names them. */
export interface WindowFeature {
  readonly name: string;
  readonly function: WindowFunction;
  /** undefined: over the rows themselves; count only. */
  readonly column: string | undefined;
  readonly windowMs: number;
  /** last_k: how many. */
  readonly k?: number;
  /** percentile: which, 0 to 100. */
  readonly percentile?: number;
}

export interface WindowSpan {
  readonly lengthMs: number;
  readonly hopMs: number;
}

export interface PlannedFeature extends WindowFeature {
  /** Index into the plan's windows. */
  readonly window: number;
  /** Index into the plan's measures. */
  readonly measure: number;
}

/** What is kept of the rows of a tile: several features share one. `column` is an index into the plan's columns; -1 = the row itself. */
export interface MeasureSpec {
  readonly kind: 'count' | 'moments' | 'least' | 'greatest' | 'newest' | 'distinct' | 'quantiles';
  readonly column: number;
  /** newest: how many. */
  readonly k: number;
}

/** Compiled once for a view; immutable. */
export interface WindowPlan {
  readonly features: readonly PlannedFeature[];
  /** The columns that rows must bring, in this order. */
  readonly columns: readonly string[];
  /** Shortest first. */
  readonly windows: readonly WindowSpan[];
  readonly measures: readonly MeasureSpec[];
  /** Names everything that decides the bytes of a tile: blobs of another plan are never read with this one. */
  readonly fingerprint: number;
  readonly indexOf: ReadonlyMap<string, number>;
}

/** @param features of one view, at least one. */
export function compileWindowPlan(features: readonly WindowFeature[]): WindowPlan {
  assert(features.length > 0, 'a window plan has at least one feature');
  const columns = [...new Set(features.flatMap(({ column }) => (column === undefined ? [] : [column])))];
  const lengths = [...new Set(features.map((f) => f.windowMs))].sort((a, b) => a - b);
  const measures: MeasureSpec[] = [];
  const planned = features.map((feature): PlannedFeature => {
    const column = feature.column === undefined ? -1 : columns.indexOf(feature.column);
    const kind = KINDS[feature.function];
    assert(kind === 'count' || column >= 0, `${feature.name}: ${feature.function} needs a column`);
    let measure = measures.findIndex((m) => m.kind === kind && m.column === column);
    if (measure < 0) measure = measures.push({ kind, column, k: 0 }) - 1;
    const k = feature.function === 'last' ? 1 : (feature.k ?? 0);
    if (k > measures[measure]!.k) measures[measure] = { kind, column, k };
    return { ...feature, window: lengths.indexOf(feature.windowMs), measure };
  });
  const windows = lengths.map((lengthMs) => ({ lengthMs, hopMs: hopOf(lengthMs) }));
  const layout = JSON.stringify([BYTES_VERSION, columns, windows, measures]);
  return {
    features: planned,
    columns,
    windows,
    measures,
    fingerprint: createHash('sha256').update(layout).digest().readUInt32LE(0),
    indexOf: new Map(features.map(({ name }, i) => [name, i])),
  };
}

/** Counts up when the bytes of a measure change their meaning. */
const BYTES_VERSION = 1;

const KINDS: Readonly<Record<WindowFunction, MeasureSpec['kind']>> = {
  count: 'count',
  sum: 'moments',
  mean: 'moments',
  std: 'moments',
  min: 'least',
  max: 'greatest',
  last: 'newest',
  last_k: 'newest',
  approx_distinct: 'distinct',
  percentile: 'quantiles',
};

const S = 1000;
const M = 60 * S;
const H = 60 * M;
const D = 24 * H;
/** Each divides the next, counted from the epoch: an edge of a large tile is an edge of every smaller one. */
const HOPS_MS = [10, 100, S, 10 * S, M, 5 * M, H, 6 * H, D, 7 * D];
const HOPS_PER_WINDOW_MIN = 24;

/** The grain of a window's far edge: the largest step of the ladder that is at most a 24th of the window, and at least 10 ms. */
export function hopOf(windowMs: number): number {
  return HOPS_MS.findLast((hop) => hop * HOPS_PER_WINDOW_MIN <= windowMs) ?? HOPS_MS[0]!;
}

/**
 * What "the last hour" means, everywhere. A window read at t covers event times from `windowStart`, included, to t, included. Its near edge
 * is exact to the millisecond; its far edge moves in hops, so it covers its length and up to one hop more, never less.
 */
export function windowStart({ lengthMs, hopMs }: WindowSpan, atMs: number): number {
  return Math.floor((atMs - lengthMs) / hopMs) * hopMs;
}
