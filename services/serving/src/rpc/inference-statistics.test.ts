import { describe, expect, it } from 'vitest';
import { ModelStatistics } from '../domain/model-statistics.js';
import { statisticsMessage, sumStatistics } from './inference-statistics.js';

/** Two requests of 3 and 1 rows share a run of 2 ms after 1 ms of waiting; a third is refused after 5 ms. */
function counted(version: number, answeredAtMs: number): ModelStatistics {
  const one = new ModelStatistics('default', 'm', version);
  for (const rows of [3, 1]) {
    one.queue.observe(0.001);
    one.answered(rows, answeredAtMs);
    one.latency.observe(0.004);
  }
  one.ran(4, 0.002);
  one.ranFor(2, 0.0005, 0.002, 0.00025);
  one.failed('INPUT_INVALID', 0.005);
  return one;
}

describe("statistics in Triton's shape", () => {
  it('counts requests, rows and runs apart, and gives each request the time of its run', () => {
    expect(statisticsMessage(counted(7, 1_000))).toEqual({
      name: 'm',
      version: '7',
      lastInference: 1_000,
      inferenceCount: 4,
      executionCount: 1,
      inferenceStats: {
        success: { count: 2, ns: 8e6 },
        fail: { count: 1, ns: 5e6 },
        queue: { count: 2, ns: 2e6 },
        computeInput: { count: 2, ns: 1e6 },
        computeInfer: { count: 2, ns: 4e6 },
        computeOutput: { count: 2, ns: 0.5e6 },
      },
      batchStats: [{ batchSize: 4, computeInput: undefined, computeInfer: { count: 1, ns: 2e6 }, computeOutput: undefined }],
    });
  });

  it('adds up what several processes counted of one version, and keeps versions apart', () => {
    const other = counted(7, 3_000);
    other.ran(1, 0.001);
    const sums = sumStatistics([statisticsMessage(counted(7, 1_000)), statisticsMessage(counted(8, 2_000)), statisticsMessage(other)]);
    expect(
      sums.map(({ version, inferenceCount, executionCount, lastInference }) => [version, inferenceCount, executionCount, lastInference]),
    ).toEqual([
      ['7', 8, 3, 3_000],
      ['8', 4, 1, 2_000],
    ]);
    expect(sums[0]!.inferenceStats!.success).toEqual({ count: 4, ns: 16e6 });
    expect(sums[0]!.batchStats.map(({ batchSize, computeInfer }) => [batchSize, computeInfer!.count])).toEqual([
      [1, 1],
      [4, 2],
    ]);
  });
});
