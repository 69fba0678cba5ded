import fc from 'fast-check';
import { expect, it } from 'vitest';
import { expectClose, golden } from '../golden/read-golden.js';
import { benjaminiHochberg } from './false-discovery.js';
import { clopperPearsonInterval, newcombeInterval, wilsonInterval } from './intervals.js';
import { observeWindow, type BreachHistory } from './persistence.js';

const tables = golden<{ one: number[][]; two: number[][] }>('intervals');

it('gives the Wilson and Clopper-Pearson intervals of scipy', () => {
  for (const [k, n, confidence, wilsonLow, wilsonHigh, exactLow, exactHigh] of tables.one as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ][]) {
    const wilson = wilsonInterval(k, n, confidence);
    expectClose(wilson.low, wilsonLow, 1e-12);
    expectClose(wilson.high, wilsonHigh, 1e-12);
    const exact = clopperPearsonInterval(k, n, confidence);
    expectClose(exact.low, exactLow, 1e-10);
    expectClose(exact.high, exactHigh, 1e-10);
  }
});

it("gives Newcombe's interval of statsmodels", () => {
  for (const [k1, n1, k2, n2, confidence, low, high] of tables.two as [number, number, number, number, number, number, number][]) {
    const interval = newcombeInterval(k1, n1, k2, n2, confidence);
    expectClose(interval.low, low, 1e-12);
    expectClose(interval.high, high, 1e-12);
  }
});

it('knows nothing about a rate without rows', () => {
  expect(wilsonInterval(0, 0)).toEqual({ low: 0, high: 1 });
  expect(clopperPearsonInterval(0, 0)).toEqual({ low: 0, high: 1 });
  expect(newcombeInterval(0, 0, 5, 10)).toEqual({ low: -1, high: 1 });
});

it('adjusts p-values as scipy does and leaves out what could not be tested', () => {
  const { pValues, adjusted } = golden<{ pValues: number[]; adjusted: number[] }>('falseDiscovery');
  const result = benjaminiHochberg(pValues, 0.05);
  adjusted.forEach((p, i) => expectClose(result.adjusted[i]!, p, 1e-14));
  expect(result.rejected).toEqual(adjusted.map((p) => p <= 0.05));
  const withNaN = benjaminiHochberg([NaN, ...pValues, NaN], 0.05);
  expect(Array.from(withNaN.adjusted.slice(1, -1))).toEqual(Array.from(result.adjusted));
  expect(withNaN.rejected[0]).toBe(false);
});

it('fires exactly while k of the last n windows breached', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 60 }), fc.integer({ min: 1, max: 8 }), fc.nat(7), (windows, k, more) => {
      const rule = { k, n: k + more };
      let history: BreachHistory = [];
      windows.forEach((breached, i) => {
        const next = observeWindow(history, breached, rule);
        history = next.history;
        const breaches = windows.slice(Math.max(0, i + 1 - rule.n), i + 1).filter(Boolean).length;
        expect(next.state).toBe(breaches >= k ? 'firing' : breached ? 'suspected' : 'quiet');
        expect(history.length).toBeLessThanOrEqual(rule.n);
      });
    }),
    { seed: 21, numRuns: 200 },
  );
});
