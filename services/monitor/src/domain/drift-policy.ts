import { assert } from '@headrace/base/assert';
import { benjaminiHochberg } from '@headrace/stats/false-discovery';
import { chiSquareContingency } from '@headrace/stats/chi-square';
import { referenceCounts, type ColumnSketch } from '@headrace/stats/histogram';
import { ksPValue } from '@headrace/stats/kolmogorov-smirnov';
import { psi, psiOfCells } from '@headrace/stats/psi';
import { SCORE, type Baseline, type ReferenceColumn } from './baseline.js';
import { two, type Finding, type Verdict } from './finding.js';
import { referenceOf, SCORE_KEY } from './pane-fold.js';
import type { Span } from './windows.js';

export interface DriftPolicy {
  /** Effect sizes from which a change matters. */
  readonly psi: number;
  readonly ks: number;
  /** Expected share of false ones among the columns called drifted. */
  readonly fdr: number;
}

/** One column of one window against training. */
export interface ColumnDrift {
  readonly column: string;
  readonly psi: number;
  /** Largest distance of the distribution functions; NaN for categories. */
  readonly ks: number;
  readonly test: 'ks' | 'chi_square';
  /** Adjusted for the number of columns (Benjamini-Hochberg). */
  readonly pValue: number;
  readonly samples: number;
  readonly verdict: Verdict;
  readonly reference: ReferenceColumn;
  readonly sketch: ColumnSketch;
}

/**
 * Every column that has enough values. Breach needs both: an effect that matters (PSI or KS) and significance; with many rows every
 * difference is significant, with few every effect is large by chance. @param sketches by pane key
 */
export function judgeColumns(
  sketches: ReadonlyMap<string, ColumnSketch>,
  baseline: Baseline,
  policy: DriftPolicy,
  minSamples: number,
): ColumnDrift[] {
  const measured = [...sketches].flatMap(([key, sketch]) => {
    const reference = referenceOf(baseline, key);
    return reference
      ? [{ column: key === SCORE_KEY ? SCORE : key, reference, sketch, samples: sketch.count, ...distances(reference, sketch) }]
      : [];
  });
  const enough = (samples: number, effect: number): boolean => samples >= minSamples && !Number.isNaN(effect);
  const pValues = measured.map(({ samples, psi: effect, rawP }) => (enough(samples, effect) ? rawP : NaN));
  const { adjusted, rejected } = benjaminiHochberg(pValues, policy.fdr);
  return measured.map(({ rawP: _, ...column }, i) => {
    const large = column.psi > policy.psi || column.ks > policy.ks;
    const verdict: Verdict = !enough(column.samples, column.psi) ? 'insufficient' : !large ? 'clean' : rejected[i] ? 'breach' : 'unclear';
    return { ...column, pValue: adjusted[i]!, verdict };
  });
}

export function driftFinding(drift: ColumnDrift, policy: DriftPolicy, columns: number, version: number, span: Span): Finding {
  const byKs = !(drift.psi > policy.psi) && drift.ks > policy.ks;
  return {
    kind: 'drift',
    subject: drift.column,
    metric: byKs ? 'ks' : 'psi',
    value: byKs ? drift.ks : drift.psi,
    threshold: byKs ? policy.ks : policy.psi,
    samples: drift.samples,
    verdict: drift.verdict,
    sentence: sentenceOf(drift, policy, columns, version),
    groups: new Map(),
    evidence: undefined,
    span,
  };
}

function distances(reference: ReferenceColumn, sketch: ColumnSketch): { psi: number; ks: number; rawP: number; test: 'ks' | 'chi_square' } {
  const before = referenceCounts(reference.profile);
  if (reference.profile.kind === 'categorical') {
    if (sketch.count === 0) return { psi: NaN, ks: NaN, rawP: NaN, test: 'chi_square' };
    return { psi: psi(before, sketch.counts), ks: NaN, rawP: chiSquareContingency(before, sketch.counts).pValue, test: 'chi_square' };
  }
  const { distance, n, m } = ksDistance(before, sketch.counts);
  // Asymptotic whatever the size: the exact p-value costs O(n m), up to 0.3 s a column, and would stall the consumers (libs/stats).
  return {
    psi: n > 0 && m > 0 ? psiOfCells(before, sketch.counts) : NaN,
    ks: distance,
    rawP: ksPValue(distance, n, m, 'asymptotic'),
    test: 'ks',
  };
}

/** Largest distance at the cell edges: a lower bound of the exact statistic, so that its p-value is conservative. */
function ksDistance(reference: Float64Array, current: Float64Array): { distance: number; n: number; m: number } {
  assert(reference.length === current.length, 'both histograms have the same cells');
  const [n, m] = [total(reference), total(current)];
  let [f, g, distance] = [0, 0, n > 0 && m > 0 ? 0 : NaN];
  for (let cell = 0; cell < reference.length - 1; cell++) {
    f += reference[cell]! / n;
    g += current[cell]! / m;
    distance = Math.max(distance, Math.abs(f - g));
  }
  return { distance, n, m };
}

function total(counts: Float64Array): number {
  let sum = 0;
  for (const n of counts) sum += n;
  return sum;
}

function sentenceOf(
  { column, psi: effect, ks, pValue, samples, sketch, reference }: ColumnDrift,
  policy: DriftPolicy,
  columns: number,
  version: number,
): string {
  const what = column === SCORE ? 'The score' : `Feature ${column}`;
  const numeric = reference.profile.kind === 'numeric' ? `, KS distance ${two(ks)} (threshold ${two(policy.ks)})` : '';
  const centre =
    reference.profile.kind === 'numeric'
      ? `; its mean was ${shown(reference.profile.mean)} in training and is ${shown(sketch.mean)} now`
      : '';
  const unseen = sketch.unseen.length > 0 ? `; categories never seen in training: ${sketch.unseen.join(', ')}` : '';
  return `${what} of version ${version} differs from its training data: PSI ${two(effect)} (threshold ${two(policy.psi)})${numeric}, p = ${pValue.toExponential(1)} after correction for ${columns} columns, n=${samples}${centre}${unseen}`;
}

const shown = (x: number): string => Number(x.toPrecision(4)).toString();
