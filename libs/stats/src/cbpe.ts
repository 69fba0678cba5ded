import { assert } from '@headrace/base/assert';
import { emptyConfusion, mergeConfusion, type Confusion } from './confusion.js';
import { rocAuc } from './roc-auc.js';

/**
 * Confidence-based performance estimation without labels (NannyML): a decision with calibrated probability p is a true positive with
 * chance p if it was selected, a false negative with chance p if not. Summed up, these are an expected confusion, of which every rate
 * (`rateOf`, `f1Of`) is an estimate. Right only while the scores stay calibrated: it sees a shift of the inputs, never one of the concept.
 * Mergeable in any order, to rounding.
 */
export class ExpectedPerformance {
  /** Fractional counts; its Wilson intervals mean nothing, use `accuracyStd`. */
  readonly confusion: Confusion = emptyConfusion();
  private correctVariance = 0;

  /** p = calibrated probability of the positive label, in [0, 1] (`calibrate` if the model's own is not). */
  add(p: number, selected: boolean): void {
    assert(p >= 0 && p <= 1, `a probability lies in [0, 1], got ${p}`);
    if (selected) {
      this.confusion.tp += p;
      this.confusion.fp += 1 - p;
    } else {
      this.confusion.fn += p;
      this.confusion.tn += 1 - p;
    }
    this.correctVariance += p * (1 - p);
  }

  /** Standard deviation of the accuracy that labels will show if the estimate holds (Poisson binomial): a gap of several is concept drift. */
  get accuracyStd(): number {
    const { tp, fp, tn, fn } = this.confusion;
    return Math.sqrt(this.correctVariance) / (tp + fp + tn + fn);
  }

  merge(other: ExpectedPerformance): this {
    mergeConfusion(this.confusion, other.confusion);
    this.correctVariance += other.correctVariance;
    return this;
  }

  toJSON(): ExpectedPerformanceJson {
    const { tp, fp, tn, fn } = this.confusion;
    return [tp, fp, tn, fn, this.correctVariance];
  }

  static fromJSON([tp, fp, tn, fn, correctVariance]: ExpectedPerformanceJson): ExpectedPerformance {
    const expected = new ExpectedPerformance();
    Object.assign(expected.confusion, { tp, fp, tn, fn });
    expected.correctVariance = correctVariance;
    return expected;
  }
}

export type ExpectedPerformanceJson = [tp: number, fp: number, tn: number, fn: number, correctVariance: number];

/** F1 = tp / (tp + (fp + fn) / 2), of an expected or a counted confusion. NaN when nothing is positive (NannyML says 0). */
export function f1Of({ tp, fp, fn }: Confusion): number {
  return tp / (tp + (fp + fn) / 2);
}

/**
 * Expected ROC AUC: each row is a positive with weight p and a negative with weight 1 - p, in the order of the model's own score, ties
 * half. Equals NannyML's estimate for distinct scores (it breaks ties by chance and rounds to 5 digits). For a window of counters give
 * expected positives and negatives of each score cell to `rocAucOfCells`.
 */
export function estimatedRocAuc(calibrated: ArrayLike<number>, scores: ArrayLike<number>): number {
  // The same sum as of the realised one, with expected labels in the place of 0 and 1.
  return rocAuc(scores, calibrated);
}
