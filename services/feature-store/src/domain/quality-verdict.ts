import { joinCells, quantileBins } from '@headrace/stats/binning';
import { chiSquareContingency } from '@headrace/stats/chi-square';
import { psi } from '@headrace/stats/psi';
import { normalSf } from '@headrace/stats/tails';
import { twoProportionZTest } from '@headrace/stats/z-test';
import { statisticsKind, type FeatureStatistics, type WindowStatistics } from './quality-statistics.js';
import type { QualityObjective } from './quality-windows.js';
import type { Field, View } from './view.js';

export type QualityMetric = 'null_ratio' | 'mean_shift' | 'psi' | 'new_categories';

/** How far a feature of one window is from the reference. */
export interface QualityVerdict {
  readonly feature: string;
  readonly metric: QualityMetric;
  readonly value: number;
  readonly threshold: number;
  readonly bad: boolean;
  /** Names no value: it travels further than the statistics. */
  readonly sentence: string;
  readonly newCategories: readonly string[];
}

/** A change that a shift of nothing but chance shows less often than this is none. */
const P_VALUE_MAX = 0.0001;
const BINS = 10;
/** Categories that are compared one by one, the most frequent of the reference; the others are one. */
const CATEGORIES_COMPARED = 20;
const NEW_CATEGORIES_NAMED = 10;

/** All that can be said of each feature; `bad` wants the limit of the view passed and, where chance has a part, significance. */
export function judge(view: View, current: WindowStatistics, reference: WindowStatistics): QualityVerdict[] {
  const quality = view.spec.quality!;
  return view.spec.features.flatMap((field) => {
    const kind = statisticsKind(field);
    const [a, b] = [current.feature(field.name), reference.feature(field.name)];
    const verdicts = [nullRatio(field, quality, [a, current.rows], [b, reference.rows])];
    if (kind === 'numbers' && a.moments.count > 0 && b.moments.count > 0)
      verdicts.push(...meanShift(field, quality, a, b), ofValues(field, quality, a, b));
    if (kind === 'categories') verdicts.push(...ofCategories(field, quality, a, b));
    return verdicts;
  });
}

/** The one to tell of: bad before good, then the furthest beyond its limit. */
export function worstByFeature(verdicts: readonly QualityVerdict[]): QualityVerdict[] {
  const excess = ({ value, threshold, bad }: QualityVerdict): number => (bad ? 1e9 : 0) + value / Math.max(threshold, 1e-9);
  return [...Map.groupBy(verdicts, ({ feature }) => feature).values()].map((ofFeature) =>
    ofFeature.reduce((a, b) => (excess(b) > excess(a) ? b : a)),
  );
}

function nullRatio(
  { name }: Field,
  { limits }: QualityObjective,
  [a, rows]: readonly [FeatureStatistics, number],
  [b, referenceRows]: readonly [FeatureStatistics, number],
): QualityVerdict {
  const [nulls, referenceNulls] = [rows - a.values, referenceRows - b.values];
  const [now, before] = [nulls / rows, referenceNulls / referenceRows];
  const value = Math.abs(now - before);
  const { pValue } = twoProportionZTest(nulls, rows, referenceNulls, referenceRows);
  const sentence = `${percent(now)} of ${name} are null, ${percent(before)} in the reference`;
  return verdict(name, 'null_ratio', value, limits.nullRatio, pValue, sentence);
}

function meanShift({ name }: Field, { limits }: QualityObjective, a: FeatureStatistics, b: FeatureStatistics): QualityVerdict[] {
  const [now, before] = [a.moments.mean(), b.moments.mean()];
  const deviation = b.moments.deviation();
  // A reference without spread has no unit for a shift; the index of its values tells.
  if (now === null || before === null || deviation === null || deviation === 0) return [];
  const value = Math.abs(now - before) / deviation;
  const pValue = 2 * normalSf(value / Math.sqrt(1 / a.moments.count + 1 / b.moments.count));
  const sentence = `the mean of ${name} has moved by ${round(value)} standard deviations of the reference`;
  return [verdict(name, 'mean_shift', value, limits.meanShift, pValue, sentence)];
}

function ofValues({ name }: Field, { limits }: QualityObjective, a: FeatureStatistics, b: FeatureStatistics): QualityVerdict {
  const [mine, theirs] = [
    new Map(a.sketch.cells().map((c) => [c.lower, c.count])),
    new Map(b.sketch.cells().map((c) => [c.lower, c.count])),
  ];
  const cells = [...new Set([...mine.keys(), ...theirs.keys()])].sort((x, y) => x - y);
  const reference = cells.map((cell) => theirs.get(cell) ?? 0);
  const binOfCell = quantileBins(reference, BINS);
  return ofShares(
    name,
    limits.psi,
    joinCells(
      cells.map((cell) => mine.get(cell) ?? 0),
      binOfCell,
    ),
    joinCells(reference, binOfCell),
  );
}

function ofCategories({ name }: Field, { limits }: QualityObjective, a: FeatureStatistics, b: FeatureStatistics): QualityVerdict[] {
  const compared = a.categories.against(b.categories);
  const current = compared.reduce((sum, one) => sum + one.current, 0);
  const reference = compared.reduce((sum, one) => sum + one.reference, 0);
  if (current === 0 || reference === 0) return [];
  const fresh = compared.filter((one) => one.reference === 0);
  const share = fresh.reduce((sum, one) => sum + one.current, 0) / current;
  const frequent = [...compared].sort((x, y) => y.reference - x.reference);
  const rest = frequent.slice(CATEGORIES_COMPARED);
  const counts = (side: 'current' | 'reference'): number[] => [
    ...frequent.slice(0, CATEGORIES_COMPARED).map((one) => one[side]),
    ...(rest.length > 0 ? [rest.reduce((sum, one) => sum + one[side], 0)] : []),
  ];
  const what = `${fresh.length} categories of ${name}, ${percent(share)} of its values, are not in the reference`;
  const novelty = verdict(name, 'new_categories', share, limits.newCategories, 0, what);
  return [
    { ...novelty, newCategories: fresh.slice(0, NEW_CATEGORIES_NAMED).map(({ label }) => label) },
    ofShares(name, limits.psi, counts('current'), counts('reference')),
  ];
}

/** The size of a shift is the index; whether it is more than chance says Pearson's test of homogeneity of the same bins. */
function ofShares(name: string, limit: number, current: ArrayLike<number>, reference: ArrayLike<number>): QualityVerdict {
  const isOne = current.length < 2;
  const value = isOne ? 0 : psi(reference, current);
  const { pValue } = isOne ? { pValue: 1 } : chiSquareContingency(reference, current);
  return verdict(name, 'psi', value, limit, pValue, `the population stability index of ${name} against the reference is ${round(value)}`);
}

function verdict(feature: string, metric: QualityMetric, value: number, threshold: number, pValue: number, what: string): QualityVerdict {
  const bad = value > threshold && pValue < P_VALUE_MAX;
  return { feature, metric, value, threshold, bad, sentence: `${what}; the limit is ${threshold}`, newCategories: [] };
}

const percent = (share: number): string => `${round(share * 100)} %`;
const round = (value: number): number => Number(value.toPrecision(3));
