import fc from 'fast-check';
import { expect, it } from 'vitest';
import { seededRandom } from '@headrace/base/random';
import { expectClose, golden } from '../golden/read-golden.js';
import { calibrationBins, calibrationBinsOfSketch, expectedCalibrationError } from './calibration.js';
import { estimatedRocAuc, ExpectedPerformance, f1Of } from './cbpe.js';
import { rateOf } from './confusion.js';
import { calibrate, fitIsotonic } from './isotonic.js';
import { accuracy, brierScore, logLoss, meanAbsoluteError, rootMeanSquaredError, rSquared } from './performance.js';
import { rocAuc } from './roc-auc.js';
import { ScoreSketch } from './score-sketch.js';

interface Performance {
  score: number[];
  label: number[];
  accuracy: number;
  logLoss: number;
  brier: number;
  logLossExtreme: number;
  auc: number;
  cbpe: { accuracy: number; precision: number; recall: number; specificity: number; f1: number; distinct: number[]; auc: number };
  calibration: { positiveShare: number[]; meanScore: number[] };
  isotonic: { at: number[]; values: number[] };
  regression: { target: number[]; forecast: number[]; mae: number; rmse: number; r2: number };
}

const { score, label, ...expected } = golden<Performance>('performance');

it('gives the classification metrics of scikit-learn', () => {
  expectClose(accuracy(score, label), expected.accuracy, 1e-12);
  expectClose(logLoss(score, label), expected.logLoss, 1e-12);
  expectClose(logLoss([0, 1, 1, 0.2], [1, 0, 1, 0]), expected.logLossExtreme, 1e-9);
  expectClose(brierScore(score, label), expected.brier, 1e-12);
  expectClose(rocAuc(score, label), expected.auc, 1e-12);
  expect(rocAuc([0.1, 0.9], [1, 1])).toBeNaN();
});

it('gives the regression metrics of scikit-learn', () => {
  const { target, forecast, mae, rmse, r2 } = expected.regression;
  expectClose(meanAbsoluteError(forecast, target), mae, 1e-12);
  expectClose(rootMeanSquaredError(forecast, target), rmse, 1e-12);
  expectClose(rSquared(forecast, target), r2, 1e-12);
});

it("gives scikit-learn's calibration curve and isotonic regression", () => {
  const filled = calibrationBins(score, label).filter(({ rows }) => rows > 0);
  expect(filled).toHaveLength(expected.calibration.meanScore.length);
  filled.forEach((bin, i) => {
    expectClose(bin.meanScore, expected.calibration.meanScore[i]!, 1e-12);
    expectClose(bin.positiveShare, expected.calibration.positiveShare[i]!, 1e-12);
  });
  const curve = fitIsotonic(score, label);
  expected.isotonic.at.forEach((at, i) => expectClose(calibrate(curve, at), expected.isotonic.values[i]!, 1e-12, `at ${at}`));
});

it('estimates performance without labels as NannyML does', () => {
  const estimate = new ExpectedPerformance();
  for (const p of score) estimate.add(p, p >= 0.5);
  const { cbpe } = expected;
  expectClose(rateOf(estimate.confusion, 'accuracy').value, cbpe.accuracy, 1e-12);
  expectClose(rateOf(estimate.confusion, 'precision').value, cbpe.precision, 1e-12);
  expectClose(rateOf(estimate.confusion, 'truePositiveRate').value, cbpe.recall, 1e-12);
  expectClose(rateOf(estimate.confusion, 'trueNegativeRate').value, cbpe.specificity, 1e-12);
  expectClose(f1Of(estimate.confusion), cbpe.f1, 1e-12);
  // NannyML rounds the curve to 5 digits.
  expectClose(estimatedRocAuc(cbpe.distinct, cbpe.distinct), cbpe.auc, 1e-6);
});

it('foretells the accuracy of calibrated scores, with a standard deviation that holds', () => {
  const random = seededRandom(7);
  let outside = 0;
  for (let run = 0; run < 200; run++) {
    const estimate = new ExpectedPerformance();
    let correct = 0;
    for (let row = 0; row < 300; row++) {
      const p = random();
      estimate.add(p, p >= 0.5);
      if (random() < p === p >= 0.5) correct++;
    }
    if (Math.abs(correct / 300 - rateOf(estimate.confusion, 'accuracy').value) > 2 * estimate.accuracyStd) outside++;
    expect(ExpectedPerformance.fromJSON(JSON.parse(JSON.stringify(estimate)))).toEqual(estimate);
  }
  // Two standard deviations leave out 4.6 % on average: 9 of 200 (deviation 3).
  expect(outside).toBeGreaterThan(0);
  expect(outside).toBeLessThan(20);
});

const row = fc.record({ score: fc.double({ min: 0, max: 1, noNaN: true }), label: fc.constantFrom(true, false, undefined) });
type Row = { score: number; label: boolean | undefined };

function sketchOf(rows: readonly Row[]): ScoreSketch {
  const sketch = new ScoreSketch();
  for (const { score, label } of rows) sketch.add(score, label);
  return sketch;
}

it('gives the exact AUC within the stated error, and the exact losses, from a merged sketch, however late the labels', () => {
  fc.assert(
    fc.property(fc.array(row, { maxLength: 60 }), fc.array(row, { maxLength: 60 }), (a, b) => {
      const late = sketchOf(b.map(({ score }) => ({ score, label: undefined })));
      for (const { score, label } of b) if (label !== undefined) late.addLateLabel(score, label);
      const merged = ScoreSketch.fromJSON(JSON.parse(JSON.stringify(sketchOf(a).merge(late))));
      const known = [...a, ...b].filter(({ label }) => label !== undefined);
      const scores = known.map(({ score }) => score);
      const labels = known.map(({ label }) => (label === true ? 1 : 0));
      expect(merged.labelled).toBe(known.length);
      expectClose(merged.logLoss, logLoss(scores, labels), 1e-9);
      expectClose(merged.brierScore, brierScore(scores, labels), 1e-9);
      const exact = rocAuc(scores, labels);
      if (Number.isNaN(exact)) expect(merged.auc.value).toBeNaN();
      else expect(Math.abs(merged.auc.value - exact)).toBeLessThanOrEqual(merged.auc.errorBound + 1e-12);
      expectClose(
        expectedCalibrationError(calibrationBinsOfSketch(merged)),
        expectedCalibrationError(calibrationBins(scores, labels)),
        1e-9,
      );
    }),
    { seed: 51, numRuns: 200 },
  );
});

it('counts a score that is no probability instead of guessing a cell', () => {
  const sketch = new ScoreSketch();
  for (const bad of [NaN, -0.1, 1.1]) sketch.add(bad, true);
  expect([sketch.invalid, sketch.labelled]).toEqual([3, 0]);
});
