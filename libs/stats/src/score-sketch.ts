import { assert } from '@headrace/base/assert';
import { AppError } from '@headrace/base/errors';
import { rocAucOfCells } from './roc-auc.js';
import { logLossOf } from './performance.js';

/** Cells of equal width over [0, 1]; cell i counts scores in (i / 500, (i + 1) / 500]. A multiple of the calibration bins. */
export const SCORE_CELLS = 500;

/**
 * Scores of a binary model over one window with the labels that came: bounded (16 kB) and mergeable in any order. Gives AUC to a
 * known error, calibration, and log loss and Brier score exactly. Scores must lie in [0, 1]; others are counted as `invalid`.
 */
export class ScoreSketch {
  readonly positives = new Float64Array(SCORE_CELLS);
  readonly negatives = new Float64Array(SCORE_CELLS);
  readonly unlabelled = new Float64Array(SCORE_CELLS);
  /** Sum of the scores of labelled rows in each cell. */
  readonly labelledScores = new Float64Array(SCORE_CELLS);
  invalid = 0;
  private logLossSum = 0;
  private brierSum = 0;

  /** Label undefined = not known yet. */
  add(score: number, label: boolean | undefined): void {
    if (!(score >= 0 && score <= 1)) this.invalid++;
    else if (label === undefined) this.unlabelled[scoreCell(score)]!++;
    else this.addLabelled(score, label);
  }

  /** The label came for a score that this sketch counted without one. */
  addLateLabel(score: number, label: boolean): void {
    if (!(score >= 0 && score <= 1)) return; // It was counted as invalid when it came.
    this.unlabelled[scoreCell(score)]!--;
    this.addLabelled(score, label);
  }

  get labelled(): number {
    let n = 0;
    for (let cell = 0; cell < SCORE_CELLS; cell++) n += this.positives[cell]! + this.negatives[cell]!;
    return n;
  }

  /** Over the labelled rows, as the three below; NaN when there are none (AUC: unless both labels occur). */
  get auc(): { value: number; errorBound: number } {
    return rocAucOfCells(this.positives, this.negatives);
  }

  get logLoss(): number {
    return this.logLossSum / this.labelled;
  }

  get brierScore(): number {
    return this.brierSum / this.labelled;
  }

  merge(other: ScoreSketch): this {
    for (const field of ARRAYS) for (let cell = 0; cell < SCORE_CELLS; cell++) this[field][cell]! += other[field][cell]!;
    this.invalid += other.invalid;
    this.logLossSum += other.logLossSum;
    this.brierSum += other.brierSum;
    return this;
  }

  /** Compact: filled cells only, [cell, positives, negatives, unlabelled, sum of labelled scores, ...]. */
  toJSON(): ScoreSketchJson {
    const c: number[] = [];
    for (let cell = 0; cell < SCORE_CELLS; cell++) {
      const row = ARRAYS.map((field) => this[field][cell]!);
      if (row.some((value) => value !== 0)) c.push(cell, ...row);
    }
    return { c, i: this.invalid, l: this.logLossSum, b: this.brierSum };
  }

  static fromJSON(json: ScoreSketchJson): ScoreSketch {
    const sketch = new ScoreSketch();
    for (let i = 0; i < json.c.length; i += 1 + ARRAYS.length) {
      const cell = json.c[i]!;
      if (!(cell >= 0 && cell < SCORE_CELLS))
        throw new AppError('REQUEST_INVALID', `Stored score window names cell ${cell} of ${SCORE_CELLS}.`);
      ARRAYS.forEach((field, offset) => (sketch[field][cell] = json.c[i + 1 + offset]!));
    }
    sketch.invalid = json.i;
    sketch.logLossSum = json.l;
    sketch.brierSum = json.b;
    return sketch;
  }

  private addLabelled(score: number, label: boolean): void {
    const cell = scoreCell(score);
    (label ? this.positives : this.negatives)[cell]!++;
    this.labelledScores[cell]! += score;
    this.logLossSum += logLossOf(score, label ? 1 : 0);
    this.brierSum += (score - (label ? 1 : 0)) ** 2;
  }
}

/** c: filled cells, i: invalid, l: sum of log losses, b: sum of squared errors. */
export interface ScoreSketchJson {
  c: number[];
  i: number;
  l: number;
  b: number;
}

const ARRAYS = ['positives', 'negatives', 'unlabelled', 'labelledScores'] as const;

/** The cell of a score in [0, 1]. */
export function scoreCell(score: number): number {
  assert(score >= 0 && score <= 1, `a score lies in [0, 1], got ${score}`);
  return Math.max(0, Math.ceil(score * SCORE_CELLS) - 1);
}
