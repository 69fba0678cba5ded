import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectClose, expectRelative, golden, ratioSequence } from '../golden/read-golden.js';
import { alignedValueCounts, doaneEdges, histogramOf, joinCells, quantileBins, sturgesEdges } from './binning.js';
import { hellingerDistance } from './hellinger.js';
import { cellOf } from './histogram.js';
import { jensenShannonDistance } from './jensen-shannon.js';
import { ksOfCells, ksPValue, ksStatistic, ksTest } from './kolmogorov-smirnov.js';
import { psi, psiOfCells, psiOfSamples } from './psi.js';
import { wassersteinDistance, wassersteinNormed, wassersteinOfCells } from './wasserstein.js';

interface Case {
  reference: number[];
  current: number[];
  ks: { statistic: number; exact: number; asymptotic: number };
  wasserstein: number;
  sturges: number[];
  doane: number[];
  histogram: number[];
  evidently: { psi: number; jensenshannon: number; hellinger: number; wasserstein: number };
  nannyml: { jensen_shannon: number; kolmogorov_smirnov: number; wasserstein: number; hellinger: number };
}

const sorted = (values: ArrayLike<number>): Float64Array => Float64Array.from(values).sort();
const same = (actual: ArrayLike<number>, expected: ArrayLike<number>): void => {
  expect(actual.length).toBe(expected.length);
  Array.from(expected).forEach((value, i) => expectClose(actual[i]!, value, 1e-12));
};

describe.each(Object.entries(golden<Record<string, Case>>('numericDrift')))('golden sample %s', (_, sample) => {
  const reference = sorted(sample.reference);
  const current = sorted(sample.current);

  it('gives the KS test of scipy, exact and asymptotic', () => {
    const test = ksTest(reference, current);
    expectClose(test.statistic, sample.ks.statistic, 1e-14);
    expectRelative(test.pValue, sample.ks.exact, 1e-9);
    expectRelative(ksPValue(test.statistic, reference.length, current.length, 'asymptotic'), sample.ks.asymptotic, 1e-9);
    expectClose(test.statistic, sample.nannyml.kolmogorov_smirnov);
  });

  it('gives the Wasserstein distance of scipy and NannyML, and the normed one of Evidently', () => {
    expectClose(wassersteinDistance(reference, current), sample.wasserstein);
    expectClose(wassersteinDistance(reference, current), sample.nannyml.wasserstein);
    expectClose(wassersteinNormed(reference, current), sample.evidently.wasserstein);
  });

  it('makes the bins and counts of numpy', () => {
    same(sturgesEdges([...sample.reference, ...sample.current]), sample.sturges);
    same(doaneEdges(sample.reference), sample.doane);
    same(histogramOf(sample.current, doaneEdges(sample.reference)), sample.histogram);
  });

  it('gives the PSI, Jensen-Shannon and Hellinger of Evidently', () => {
    expectClose(psiOfSamples(sample.reference, sample.current), sample.evidently.psi);
    const few = new Set(sample.reference).size <= 20;
    const edges = sturgesEdges([...sample.reference, ...sample.current]);
    const counts = few
      ? alignedValueCounts(sample.reference, sample.current)
      : { reference: histogramOf(sample.reference, edges), current: histogramOf(sample.current, edges) };
    expectClose(jensenShannonDistance(counts.reference, counts.current, 'e'), sample.evidently.jensenshannon);
    // Evidently takes Hellinger's edges from the distinct values, not from the rows.
    const distinct = sturgesEdges(alignedValueCounts(sample.reference, sample.current).values);
    expectClose(
      hellingerDistance(histogramOf(sample.reference, distinct), histogramOf(sample.current, distinct)),
      sample.evidently.hellinger,
      1e-7,
    );
  });

  it('gives the Jensen-Shannon distance of NannyML: base 2, Doane bins, what lies outside in a bin of its own', () => {
    const edges = doaneEdges(sample.reference);
    const inside = histogramOf(sample.current, edges);
    const outside = sample.current.length - inside.reduce((a, b) => a + b, 0);
    const distance = jensenShannonDistance([...histogramOf(sample.reference, edges), 0], [...inside, outside], '2');
    expectClose(distance, sample.nannyml.jensen_shannon);
  });
});

it('equals scipy for long samples, on both sides of the 10,000 rows where it turns asymptotic', () => {
  for (const [n, m, factor, statistic, pValue, wasserstein] of golden<[number, number, number, number, number, number][]>('longKs')) {
    const reference = ratioSequence(n);
    const current = ratioSequence(m, n, factor);
    const test = ksTest(reference, current);
    expect(test.method).toBe(Math.max(n, m) <= 10_000 ? 'exact' : 'asymptotic');
    expectClose(test.statistic, statistic, 1e-13);
    expectRelative(test.pValue, pValue, 1e-8, `${n} x ${m}`);
    expectClose(wassersteinDistance(reference, current), wasserstein, 1e-12);
  }
});

it('keeps the relative precision of exact KS tails, as scipy', () => {
  for (const [n, m, statistic, pValue] of golden<[number, number, number, number][]>('exactKs'))
    expectRelative(ksPValue(statistic, n, m, 'exact'), pValue, 1e-9, `${n} x ${m}, D = ${statistic}`);
});

it('gives the exact KS p-value that counting every order of two small samples gives', () => {
  const n = 6;
  const m = 5;
  const statistics: number[] = [];
  for (let mask = 0; mask < 2 ** (n + m); mask++) {
    const positions = Array.from({ length: n + m }, (_, i) => i);
    const first = positions.filter((i) => (mask >> i) & 1);
    if (first.length === n) statistics.push(ksStatistic(sorted(first), sorted(positions.filter((i) => !((mask >> i) & 1)))));
  }
  for (const d of new Set(statistics)) {
    const share = statistics.filter((other) => other >= d - 1e-12).length / statistics.length;
    expectRelative(ksPValue(d, n, m, 'exact'), share, 1e-12, `D = ${d}`);
  }
});

const sampleOf = fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 1, maxLength: 60 });
const edgesOf = fc
  .uniqueArray(fc.integer({ min: -40, max: 40 }), { minLength: 1, maxLength: 20 })
  .map((edges) => Float64Array.from(edges).sort());

function cellsOf(values: readonly number[], edges: Float64Array): Float64Array {
  const counts = new Float64Array(edges.length + 1);
  for (const value of values) counts[cellOf(edges, value)]!++;
  return counts;
}

it('brackets the exact KS statistic between the histogram bounds', () => {
  fc.assert(
    fc.property(sampleOf, sampleOf, edgesOf, (a, b, edges) => {
      const exact = ksStatistic(sorted(a), sorted(b));
      const cells = ksOfCells(cellsOf(a, edges), cellsOf(b, edges));
      expect(cells.statistic).toBeLessThanOrEqual(exact + 1e-12);
      expect(cells.upperBound).toBeGreaterThanOrEqual(exact - 1e-12);
    }),
    { seed: 11, numRuns: 300 },
  );
});

it('approximates Wasserstein from a histogram within the stated error', () => {
  fc.assert(
    fc.property(sampleOf, sampleOf, edgesOf, (a, b, edges) => {
      const rangeOf = (values: readonly number[]): { min: number; max: number } => ({ min: Math.min(...values), max: Math.max(...values) });
      const exact = wassersteinDistance(sorted(a), sorted(b));
      const approximate = wassersteinOfCells(cellsOf(a, edges), cellsOf(b, edges), edges, rangeOf(a), rangeOf(b));
      const ends = [Math.min(...a, ...b, edges[0]!), ...edges, Math.max(...a, ...b, edges.at(-1)!)];
      const shareA = cellsOf(a, edges).map((n) => n / a.length);
      const shareB = cellsOf(b, edges).map((n) => n / b.length);
      const error = shareA.reduce((sum, share, cell) => sum + (share + shareB[cell]!) * (ends[cell + 1]! - ends[cell]!), 0);
      expect(Math.abs(approximate - exact)).toBeLessThanOrEqual(error / 2 + 1e-9);
    }),
    { seed: 12, numRuns: 300 },
  );
});

const counts = fc
  .array(fc.tuple(fc.nat(500), fc.nat(500)), { minLength: 2, maxLength: 40 })
  .filter((cells) => cells.some(([r]) => r > 0) && cells.some(([, c]) => c > 0));

it('finds no drift in equal shares, and more than none in others; PSI, JS and Hellinger are symmetric and in range', () => {
  fc.assert(
    fc.property(counts, (cells) => {
      const r = cells.map(([count]) => count);
      const c = cells.map(([, count]) => count);
      const scaled = r.map((count) => count * 3);
      for (const distance of [psi, hellingerDistance, (a: number[], b: number[]) => jensenShannonDistance(a, b, '2')]) {
        expect(distance(r, scaled)).toBeLessThan(1e-7);
        expect(distance(r, c)).toBeGreaterThanOrEqual(0);
        expectClose(distance(r, c), distance(c, r), 1e-9);
      }
      expect(jensenShannonDistance(r, c, '2')).toBeLessThanOrEqual(1 + 1e-12);
      expect(hellingerDistance(r, c)).toBeLessThanOrEqual(1);
    }),
    { seed: 13, numRuns: 300 },
  );
});

it('joins fine cells into at most the wished number of bins, each but the last with at least its share when mass allows', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1000), { minLength: 1, maxLength: 128 }), fc.integer({ min: 2, max: 20 }), (reference, bins) => {
      const binOfCell = quantileBins(reference, bins);
      const joined = joinCells(reference, binOfCell);
      expect(joined.length).toBeLessThanOrEqual(bins);
      expect(joined.reduce((a, b) => a + b, 0)).toBe(reference.reduce((a, b) => a + b, 0));
      binOfCell.forEach((bin, cell) => cell > 0 && expect(bin - binOfCell[cell - 1]!).toBeOneOf([0, 1]));
    }),
    { seed: 14, numRuns: 300 },
  );
  expect(Array.from(joinCells(new Float64Array(100).fill(7), quantileBins(new Float64Array(100).fill(7), 10)))).toEqual(
    new Array(10).fill(70),
  );
});

it('never finds more drift in joined bins than in the fine cells', () => {
  // Data processing inequality; only where no fill is needed.
  const positive = fc.array(fc.tuple(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 500 })), { minLength: 2, maxLength: 60 });
  fc.assert(
    fc.property(positive, (cells) => {
      const r = cells.map(([count]) => count);
      const c = cells.map(([, count]) => count);
      expect(psiOfCells(r, c)).toBeLessThanOrEqual(psi(r, c) + 1e-9);
    }),
    { seed: 15, numRuns: 300 },
  );
});

it('says NaN rather than no drift when a window is empty', () => {
  expect(psi([1, 2], [0, 0])).toBeNaN();
  expect(jensenShannonDistance([1, 2], [0, 0], 'e')).toBeNaN();
  expect(hellingerDistance([1, 2], [0, 0])).toBeNaN();
  expect(ksOfCells([1, 2], [0, 0]).pValue).toBeNaN();
  expect(wassersteinDistance(sorted([1]), sorted([]))).toBeNaN();
  expect(ksTest(sorted([]), sorted([1])).pValue).toBeNaN();
});
