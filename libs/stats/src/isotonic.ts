import { assert } from '@headrace/base/assert';
import { cellOf } from './histogram.js';

/** A rising step curve as points, linear between them and flat outside: score -> calibrated probability. Plain data, JSON as it is. */
export interface CalibrationCurve {
  /** Strictly increasing. */
  readonly scores: readonly number[];
  /** Never falling, in [0, 1]. */
  readonly probabilities: readonly number[];
}

/**
 * Isotonic regression by pool-adjacent-violators (Ayer et al. 1955): the rising curve nearest to the labels in the least-squares
 * sense. Equals sklearn IsotonicRegression(out_of_bounds='clip'), which NannyML fits on its reference before CBPE. O(n log n).
 */
export function fitIsotonic(scores: ArrayLike<number>, labels: ArrayLike<number>): CalibrationCurve {
  assert(scores.length === labels.length && scores.length > 0, `${scores.length} scores and ${labels.length} labels are as many, and some`);
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  const blocks: { from: number; to: number; sum: number; rows: number }[] = [];
  for (const row of order) {
    const score = scores[row]!;
    const last = blocks.at(-1);
    if (last?.from === score && last.to === score) {
      last.sum += labels[row]!;
      last.rows++;
    } else {
      poolViolators(blocks);
      blocks.push({ from: score, to: score, sum: labels[row]!, rows: 1 });
    }
  }
  poolViolators(blocks);
  const ends = blocks.flatMap(({ from, to, sum, rows }) =>
    from === to
      ? [[from, sum / rows]]
      : [
          [from, sum / rows],
          [to, sum / rows],
        ],
  ) as [number, number][];
  return { scores: ends.map(([score]) => score), probabilities: ends.map(([, probability]) => probability) };
}

/** The calibrated probability of a score. */
export function calibrate(curve: CalibrationCurve, score: number): number {
  const { scores, probabilities } = curve;
  const above = cellOf(scores, score);
  if (above === 0) return probabilities[0]!;
  if (above === scores.length) return probabilities.at(-1)!;
  const [x0, x1] = [scores[above - 1]!, scores[above]!];
  const [y0, y1] = [probabilities[above - 1]!, probabilities[above]!];
  return y0 + ((y1 - y0) * (score - x0)) / (x1 - x0);
}

/** Joins the last block into the ones before it while it lies below them (or level). */
function poolViolators(blocks: { from: number; to: number; sum: number; rows: number }[]): void {
  while (blocks.length > 1) {
    const last = blocks.at(-1)!;
    const before = blocks.at(-2)!;
    if (before.sum * last.rows < last.sum * before.rows) return;
    before.to = last.to;
    before.sum += last.sum;
    before.rows += last.rows;
    blocks.pop();
  }
}
