import type { Histogram, VersionStatistics } from '@headrace/contracts/serving/v1/serving';
import { describe, expect, it } from 'vitest';
import { formatServingTable, quantile } from './serving-table.js';

const histogram = (counts: number[], sum: number): Histogram => ({
  upperBounds: [0.001, 0.002, 0.004],
  counts,
  count: counts.reduce((a, b) => a + b, 0),
  sum,
});

const version = (requests: number, latency: Histogram): VersionStatistics => ({
  project: 'default',
  model: 'm',
  version: 2,
  requests,
  rows: requests,
  failures: { OVERLOADED: 3 },
  latency,
  queue: latency,
  compute: latency,
  batchRows: histogram([0, 0, 0, 0], 0),
  lastAnsweredAt: undefined,
});

describe('quantile of a histogram', () => {
  it('interpolates inside the bucket as histogram_quantile of Prometheus does', () => {
    expect(quantile(histogram([10, 10, 0, 0], 0.02), 0.5)).toBeCloseTo(0.001, 9);
    expect(quantile(histogram([10, 10, 0, 0], 0.02), 0.75)).toBeCloseTo(0.0015, 9);
    expect(quantile(histogram([0, 0, 4, 0], 0.02), 0.25)).toBeCloseTo(0.0025, 9);
    expect(quantile(histogram([0, 0, 0, 4], 0.02), 0.5)).toBe(0.004);
    expect(quantile(histogram([0, 0, 0, 0], 0), 0.5)).toBe(0);
  });
});

describe('serving table', () => {
  it('shows totals since the start', () => {
    const table = formatServingTable({ atMs: 0, versions: [version(20, histogram([10, 10, 0, 0], 0.03))] });
    expect(table.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['model', 'version', 'requests', 'refused', 'p50 ms', 'p99 ms', 'queue ms', 'run ms', 'rows/run'],
      ['m', '      2', '      20', '      3', '1.00', '1.98', '1.50', '1.50', '0.0'].map((cell) => cell.trim()),
    ]);
  });

  it('shows rates and times between two readings', () => {
    const before = { atMs: 1_000, versions: [version(20, histogram([10, 10, 0, 0], 0.03))] };
    const now = { atMs: 3_000, versions: [version(60, histogram([10, 10, 40, 0], 0.15))] };
    const [, line] = formatServingTable(now, before).split('\n');
    expect(line!.trim().split(/ +/)).toEqual(['m', '2', '20', '0', '3.00', '3.98', '3.00', '3.00', '0.0']);
  });
});
