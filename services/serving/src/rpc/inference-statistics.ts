import type { ModelStatistics as StatisticsMessage, StatisticDuration } from '@headrace/contracts/inference/grpc_service';
import type { ModelStatistics } from '../domain/model-statistics.js';

/** Our statistics in Triton's shape. Counts are requests, but for `inferenceCount` (rows), `executionCount` and sizes of batches (native runs). */
export function statisticsMessage(one: ModelStatistics): StatisticsMessage {
  const { shared } = one;
  const failures = [...one.failures.values()].reduce((sum, count) => sum + count, 0);
  const spent = (count: number, seconds: number): { count: number; ns: number } => ({ count, ns: Math.round(seconds * 1e9) });
  const sizes = Array.from(one.runsOfRows.keys()).filter((rows) => one.runsOfRows[rows]! > 0);
  return {
    name: one.model,
    version: String(one.version),
    lastInference: one.lastAnsweredAtMs,
    inferenceCount: one.rows,
    executionCount: one.compute.count,
    inferenceStats: {
      success: spent(one.requests, one.latency.sum),
      fail: spent(failures, one.failedSeconds),
      queue: spent(one.queue.count, one.queue.sum),
      computeInput: spent(shared.requests, shared.inputSeconds),
      computeInfer: spent(shared.requests, shared.computeSeconds),
      computeOutput: spent(shared.requests, shared.outputSeconds),
    },
    batchStats: sizes.map((rows) => ({
      batchSize: rows,
      computeInput: undefined,
      computeInfer: spent(one.runsOfRows[rows]!, one.secondsOfRows[rows]!),
      computeOutput: undefined,
    })),
  };
}

/** One for each version, of what several processes counted. */
export function sumStatistics(all: readonly StatisticsMessage[]): StatisticsMessage[] {
  const sums = new Map<string, StatisticsMessage>();
  for (const one of all) {
    const key = `${one.name}/${one.version}`;
    const sum = sums.get(key);
    sums.set(key, sum ? join(sum, one) : one);
  }
  return [...sums.values()];
}

function join(a: StatisticsMessage, b: StatisticsMessage): StatisticsMessage {
  const [left, right] = [a.inferenceStats!, b.inferenceStats!];
  const sizes = [...new Set([...a.batchStats, ...b.batchStats].map((batch) => batch.batchSize))].sort((x, y) => x - y);
  const batch = (of: StatisticsMessage, size: number): StatisticDuration | undefined =>
    of.batchStats.find((one) => one.batchSize === size)?.computeInfer;
  return {
    ...a,
    lastInference: Math.max(a.lastInference, b.lastInference),
    inferenceCount: a.inferenceCount + b.inferenceCount,
    executionCount: a.executionCount + b.executionCount,
    inferenceStats: {
      success: plus(left.success, right.success),
      fail: plus(left.fail, right.fail),
      queue: plus(left.queue, right.queue),
      computeInput: plus(left.computeInput, right.computeInput),
      computeInfer: plus(left.computeInfer, right.computeInfer),
      computeOutput: plus(left.computeOutput, right.computeOutput),
    },
    batchStats: sizes.map((batchSize) => ({
      batchSize,
      computeInput: undefined,
      computeInfer: plus(batch(a, batchSize), batch(b, batchSize)),
      computeOutput: undefined,
    })),
  };
}

function plus(a: StatisticDuration | undefined, b: StatisticDuration | undefined): StatisticDuration {
  return { count: (a?.count ?? 0) + (b?.count ?? 0), ns: (a?.ns ?? 0) + (b?.ns ?? 0) };
}
