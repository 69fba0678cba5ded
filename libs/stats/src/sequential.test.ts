import { expect, it } from 'vitest';
import { seededRandom } from '@headrace/base/random';
import { expectClose, golden } from '../golden/read-golden.js';
import { confidenceSequence, differenceSequence, eValue, LIFTS, observeBlock, startHarmTest, type ArmCounts } from './sequential.js';

function draw(random: () => number, n: number, rate: number): ArmCounts {
  let failures = 0;
  for (let i = 0; i < n; i++) if (random() < rate) failures++;
  return { failures, n };
}

/** Blocks until the canary is stopped at `alpha`, or Infinity. */
function blocksToStop(seed: number, canaryRate: number, baselineRate: number, alpha: number, blocks: number): number {
  const random = seededRandom(seed);
  let test = startHarmTest();
  for (let block = 1; block <= blocks; block++) {
    test = observeBlock(test, draw(random, 20, canaryRate), draw(random, 80, baselineRate));
    if (test.pValue <= alpha) return block;
  }
  return Infinity;
}

it.each([
  ['equal and rare', 0.01, 0.01],
  ['equal and common', 0.3, 0.3],
  ['better', 0.02, 0.05],
])('stops a canary that is %s in at most alpha of the runs, though it looks 150 times', (_, canary, baseline) => {
  const runs = 300;
  let stopped = 0;
  for (let seed = 1; seed <= runs; seed++) if (blocksToStop(seed, canary, baseline, 0.05, 150) < Infinity) stopped++;
  // At exactly 5 % the count would be 15 with deviation 3.8.
  expect(stopped).toBeLessThanOrEqual(22);
});

it('stops a canary that fails five times as often, in most runs within 10 looks of 20 canary requests', () => {
  const looks = Array.from({ length: 100 }, (_, seed) => blocksToStop(seed + 1, 0.1, 0.02, 0.05, 150)).sort((a, b) => a - b);
  expect(looks[89]).toBeLessThanOrEqual(20);
  expect(looks[50]).toBeLessThanOrEqual(10);
});

it('has an expected e-value of at most 1 for every block and every true rate without harm', () => {
  const learnt = observeBlock(startHarmTest(), { failures: 1, n: 20 }, { failures: 4, n: 80 });
  const binomial = (k: number, n: number, p: number): number => {
    let choose = 1;
    for (let i = 0; i < k; i++) choose *= (n - i) / (i + 1);
    return choose * p ** k * (1 - p) ** (n - k);
  };
  for (const [canary, baseline] of [
    [0.05, 0.05],
    [0.5, 0.5],
    [0.01, 0.2],
    [0.001, 0.001],
  ] as const) {
    let expectation = 0;
    for (let x = 0; x <= 4; x++)
      for (let y = 0; y <= 7; y++)
        expectation +=
          binomial(x, 4, canary) * binomial(y, 7, baseline) * eValue(observeBlock(learnt, { failures: x, n: 4 }, { failures: y, n: 7 }));
    expect(expectation).toBeLessThanOrEqual(1 + 1e-12);
  }
});

it('bets nothing while one arm is silent or nothing has been learnt', () => {
  const first = observeBlock(startHarmTest(), { failures: 5, n: 5 }, { failures: 0, n: 5 });
  expect(first.pValue).toBe(1);
  const alone = observeBlock(first, { failures: 5, n: 5 }, { failures: 0, n: 0 });
  expect([alone.pValue, alone.canary]).toEqual([1, { failures: 10, n: 10 }]);
  expect(alone.logE).toEqual(LIFTS.map(() => 0));
});

it('solves the boundary of the confidence sequence as scipy does', () => {
  for (const [x, n, alpha, low, high] of golden<{ confidenceSequence: [number, number, number, number, number][] }>('sequential')
    .confidenceSequence) {
    const sequence = confidenceSequence({ failures: x, n }, alpha);
    expectClose(sequence.low, low, 1e-10, `${x} of ${n}`);
    expectClose(sequence.high, high, 1e-10, `${x} of ${n}`);
  }
  expect(confidenceSequence({ failures: 0, n: 0 })).toEqual({ low: 0, high: 1 });
});

it('holds the true difference at every look in at least 1 - alpha of the runs', () => {
  let missed = 0;
  for (let seed = 1; seed <= 100; seed++) {
    const random = seededRandom(seed);
    let canary: ArmCounts = { failures: 0, n: 0 };
    let baseline: ArmCounts = { failures: 0, n: 0 };
    let held = true;
    for (let look = 0; look < 40; look++) {
      const [c, b] = [draw(random, 10, 0.08), draw(random, 40, 0.03)];
      canary = { failures: canary.failures + c.failures, n: canary.n + c.n };
      baseline = { failures: baseline.failures + b.failures, n: baseline.n + b.n };
      const { low, high } = differenceSequence(canary, baseline, 0.1);
      held &&= low <= 0.05 && 0.05 <= high;
    }
    if (!held) missed++;
  }
  expect(missed).toBeLessThanOrEqual(10);
});
