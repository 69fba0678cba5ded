import type { FeatureValue } from '@headrace/codec/feature-blob';
import { QuantileSketch, type QuantileSketchJson, type SketchCell } from '@headrace/stats/quantile-sketch';
import { ExactMoments, type ExactMomentsJson } from '@headrace/windows/exact-moments';
import { CategoryCounts, type CategoryCountsJson } from './category-counts.js';
import type { Field } from './view.js';

export const SKETCH_RELATIVE_ERROR = 0.01;

/**
 * What of a feature is kept: numbers have moments and a sketch, categories their counts, everything else and everything personal only
 * values and nulls. No single value of a number is kept.
 */
export type StatisticsKind = 'numbers' | 'categories' | 'presence';

export function statisticsKind({ type, categorical, oneOf, pii }: Field): StatisticsKind {
  if (pii) return 'presence';
  if (type === 'string' || type === 'bool') return 'categories';
  if (type !== 'int64' && type !== 'float64') return 'presence';
  return categorical || oneOf ? 'categories' : 'numbers';
}

export interface FeatureStatisticsJson {
  readonly values: number;
  readonly moments?: ExactMomentsJson;
  readonly sketch?: QuantileSketchJson;
  readonly categories?: CategoryCountsJson;
}

/**
 * Statistics of one feature over some rows: mergeable, bounded, and the same in any order and grouping of the rows. Counts, mean and deviation
 * are exact (mean and deviation to the last rounding), quantiles are within 1 % of the value of their rank (DDSketch), counts of
 * categories are exact for the categories that are counted.
 */
export class FeatureStatistics {
  /** Those that are not null; the other rows have none, also those of before the feature was there. */
  values = 0;
  readonly moments = new ExactMoments();
  readonly sketch = new QuantileSketch(SKETCH_RELATIVE_ERROR);
  readonly categories = new CategoryCounts();

  merge({ values, moments, sketch, categories }: FeatureStatisticsJson): void {
    this.values += values;
    if (moments) this.moments.merge(moments);
    if (sketch) this.sketch.merge(QuantileSketch.fromJSON(sketch));
    if (categories) this.categories.merge(categories);
  }

  toJSON(): FeatureStatisticsJson {
    const categories = this.categories.toJSON();
    return {
      values: this.values,
      ...(this.moments.count > 0 ? { moments: this.moments.toJSON(), sketch: this.sketch.toJSON() } : {}),
      ...(categories.counts.length > 0 ? { categories } : {}),
    };
  }
}

export interface WindowStatisticsJson {
  readonly rows: number;
  readonly features: Readonly<Record<string, FeatureStatisticsJson>>;
}

/** Statistics of the rows of one window. */
export class WindowStatistics {
  rows = 0;
  readonly #features = new Map<string, FeatureStatistics>();

  feature(name: string): FeatureStatistics {
    let found = this.#features.get(name);
    if (!found) this.#features.set(name, (found = new FeatureStatistics()));
    return found;
  }

  merge({ rows, features }: WindowStatisticsJson): this {
    this.rows += rows;
    for (const [name, statistics] of Object.entries(features)) this.feature(name).merge(statistics);
    return this;
  }

  toJSON(): WindowStatisticsJson {
    return { rows: this.rows, features: Object.fromEntries([...this.#features].map(([name, one]) => [name, one.toJSON()])) };
  }
}

/** Takes the rows of one window; a category is hashed once for all the rows of a batch that have it. */
export class WindowTally {
  readonly #statistics = new WindowStatistics();
  readonly #columns: readonly Column[];

  constructor(fields: readonly Field[]) {
    this.#columns = fields.map((field) => ({
      kind: statisticsKind(field),
      statistics: this.#statistics.feature(field.name),
      seen: new Map(),
    }));
  }

  add(values: readonly FeatureValue[]): void {
    this.#statistics.rows++;
    for (let i = 0; i < this.#columns.length; i++) {
      const value = values[i] ?? null;
      const { kind, statistics, seen } = this.#columns[i]!;
      if (value === null) continue;
      statistics.values++;
      if (kind === 'numbers') {
        statistics.moments.add(value as number);
        statistics.sketch.add(value as number);
      } else if (kind === 'categories') {
        const category = value as string | number | boolean;
        seen.set(category, (seen.get(category) ?? 0) + 1);
        if (seen.size > SEEN_MAX) flush(this.#columns[i]!);
      }
    }
  }

  finish(): WindowStatistics {
    for (const column of this.#columns) flush(column);
    return this.#statistics;
  }
}

const SEEN_MAX = 10_000;

interface Column {
  readonly kind: StatisticsKind;
  readonly statistics: FeatureStatistics;
  readonly seen: Map<string | number | boolean, number>;
}

function flush({ statistics, seen }: Column): void {
  for (const [category, count] of seen) statistics.categories.add(category, count);
  seen.clear();
}

const HISTOGRAM_BINS = 20;

/** The cells of a sketch in at most 20 bins of about equal width. Edges are edges of cells, so the counts are exact. */
export function histogram(sketch: QuantileSketch): SketchCell[] {
  const cells = sketch.cells();
  if (cells.length === 0) return [];
  const [low, high] = [cells[0]!.lower, cells.at(-1)!.upper];
  const bins: { lower: number; upper: number; count: number }[] = [];
  let lastBin = -1;
  for (const { lower, upper, count } of cells) {
    // Halved before the difference, which could leave the range of float64.
    const bin = Math.floor(((lower / 4 + upper / 4 - low / 2) / (high / 2 - low / 2 || 1)) * HISTOGRAM_BINS);
    if (bin === lastBin) {
      bins.at(-1)!.upper = upper;
      bins.at(-1)!.count += count;
    } else bins.push({ lower, upper, count });
    lastBin = bin;
  }
  return bins;
}
