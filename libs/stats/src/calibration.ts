import { assert } from '@headrace/base/assert';
import { wilsonInterval, type Interval } from './intervals.js';
import { SCORE_CELLS, scoreCell, type ScoreSketch } from './score-sketch.js';

/** One bar of a reliability diagram. */
export interface CalibrationBin {
  readonly rows: number;
  /** Mean score and share of positives; NaN in an empty bin. */
  readonly meanScore: number;
  readonly positiveShare: number;
  /** Wilson interval of the share: a bin whose mean score lies inside is not evidence of bad calibration. */
  readonly interval: Interval;
}

/** Reliability diagram in equal-width bins over [0, 1], bin i = (i / bins, (i + 1) / bins]. Equals sklearn calibration_curve (which drops empty bins). */
export function calibrationBins(scores: ArrayLike<number>, labels: ArrayLike<number>, bins = 10): CalibrationBin[] {
  const sums = Array.from({ length: bins }, () => ({ rows: 0, score: 0, positives: 0 }));
  for (let i = 0; i < scores.length; i++) {
    const bin = sums[binOfCell(scoreCell(scores[i]!), bins)]!;
    bin.rows++;
    bin.score += scores[i]!;
    bin.positives += labels[i]!;
  }
  return sums.map(toBin);
}

/** The same of the labelled rows of a window. */
export function calibrationBinsOfSketch(sketch: ScoreSketch, bins = 10): CalibrationBin[] {
  const sums = Array.from({ length: bins }, () => ({ rows: 0, score: 0, positives: 0 }));
  for (let cell = 0; cell < SCORE_CELLS; cell++) {
    const bin = sums[binOfCell(cell, bins)]!;
    bin.rows += sketch.positives[cell]! + sketch.negatives[cell]!;
    bin.score += sketch.labelledScores[cell]!;
    bin.positives += sketch.positives[cell]!;
  }
  return sums.map(toBin);
}

/** Expected calibration error: mean over rows of |mean score - share of positives| of their bin (Naeini et al., AAAI 2015). NaN without rows. */
export function expectedCalibrationError(bins: readonly CalibrationBin[]): number {
  let rows = 0;
  let sum = 0;
  for (const bin of bins) {
    if (bin.rows === 0) continue;
    rows += bin.rows;
    sum += bin.rows * Math.abs(bin.meanScore - bin.positiveShare);
  }
  return sum / rows;
}

function binOfCell(cell: number, bins: number): number {
  assert(SCORE_CELLS % bins === 0, `calibration bins divide ${SCORE_CELLS}, got ${bins}`);
  return Math.floor(cell / (SCORE_CELLS / bins));
}

function toBin({ rows, score, positives }: { rows: number; score: number; positives: number }): CalibrationBin {
  return { rows, meanScore: score / rows, positiveShare: positives / rows, interval: wilsonInterval(positives, rows) };
}
