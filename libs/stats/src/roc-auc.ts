import { assert } from '@headrace/base/assert';
import { totalOf } from './binning.js';

/**
 * Area under the ROC curve: the chance that a positive row scores above a negative one, ties half (Mann and Whitney 1947).
 * Exact, O(n log n). `labels` are 0 or 1 (or between: the expectation over such labels). Equals sklearn.metrics.roc_auc_score; NaN unless both labels occur.
 */
export function rocAuc(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  assert(scores.length === labels.length, `${scores.length} scores and ${labels.length} labels are as many`);
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  let negativesBelow = 0;
  let positives = 0;
  let wins = 0;
  for (let start = 0; start < order.length;) {
    let tiedPositives = 0;
    let end = start;
    while (end < order.length && scores[order[end]!] === scores[order[start]!]) tiedPositives += labels[order[end++]!]!;
    const tiedNegatives = end - start - tiedPositives;
    wins += tiedPositives * (negativesBelow + tiedNegatives / 2);
    negativesBelow += tiedNegatives;
    positives += tiedPositives;
    start = end;
  }
  return wins / (positives * negativesBelow);
}

/**
 * The same from counts of positive and negative rows in aligned score cells, ascending: rows of one cell count as ties. The exact
 * value lies within `errorBound`. Counts may be fractions (expected positives, see cbpe.ts).
 */
export function rocAucOfCells(positives: ArrayLike<number>, negatives: ArrayLike<number>): { value: number; errorBound: number } {
  assert(positives.length === negatives.length, `${positives.length} and ${negatives.length} cells are as many`);
  let negativesBelow = 0;
  let wins = 0;
  let ties = 0;
  for (let cell = 0; cell < positives.length; cell++) {
    const pairs = positives[cell]! * negatives[cell]!;
    wins += positives[cell]! * negativesBelow + pairs / 2;
    ties += pairs;
    negativesBelow += negatives[cell]!;
  }
  const pairs = totalOf(positives) * negativesBelow;
  return { value: wins / pairs, errorBound: ties / 2 / pairs };
}
