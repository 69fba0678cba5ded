import type { Histogram, VersionStatistics } from '@headrace/contracts/serving/v1/serving';
import { formatTable } from './table.js';

export interface Reading {
  readonly atMs: number;
  readonly versions: readonly VersionStatistics[];
}

/** One line a version. With an earlier reading all figures are those of the time between; without, those since the start. */
export function formatServingTable(now: Reading, before?: Reading): string {
  const seconds = before ? (now.atMs - before.atMs) / 1000 : undefined;
  const rows = now.versions.map((version) => {
    const old = before?.versions.find(
      (one) => one.project === version.project && one.model === version.model && one.version === version.version,
    );
    const count = (of: (one: VersionStatistics) => number): number => of(version) - (old ? of(old) : 0);
    const times = (of: (one: VersionStatistics) => Histogram | undefined): Histogram => difference(of(version), old && of(old));
    const [latency, queue, compute, batch] = [
      times((v) => v.latency),
      times((v) => v.queue),
      times((v) => v.compute),
      times((v) => v.batchRows),
    ];
    const requests = count((v) => v.requests);
    return [
      version.model,
      version.version,
      seconds === undefined ? requests : Math.round(requests / seconds),
      count((v) => Object.values(v.failures).reduce((sum, failures) => sum + failures, 0)),
      milliseconds(quantile(latency, 0.5)),
      milliseconds(quantile(latency, 0.99)),
      milliseconds(mean(queue)),
      milliseconds(mean(compute)),
      mean(batch).toFixed(1),
    ];
  });
  return formatTable(
    [
      'model',
      'version',
      seconds === undefined ? 'requests' : 'requests/s',
      'refused',
      'p50 ms',
      'p99 ms',
      'queue ms',
      'run ms',
      'rows/run',
    ],
    rows,
  );
}

/**
 * The value below which the share lies, by linear interpolation inside its bucket (the rule of Prometheus' histogram_quantile);
 * what lies beyond the last bound counts as that bound.
 */
export function quantile({ upperBounds, counts, count }: Histogram, share: number): number {
  if (count === 0) return 0;
  const rank = share * count;
  let below = 0;
  for (const [i, upper] of upperBounds.entries()) {
    const inside = counts[i]!;
    if (below + inside >= rank && inside > 0) {
      const lower = i === 0 ? 0 : upperBounds[i - 1]!;
      return lower + ((upper - lower) * (rank - below)) / inside;
    }
    below += inside;
  }
  return upperBounds.at(-1) ?? 0;
}

/** A process that started anew counts from 0 again: then the later reading is all there is. */
function difference(now: Histogram | undefined, old: Histogram | undefined): Histogram {
  if (!now) return { upperBounds: [], counts: [], count: 0, sum: 0 };
  if (!old || old.count > now.count) return now;
  return {
    upperBounds: now.upperBounds,
    counts: now.counts.map((count, i) => count - old.counts[i]!),
    count: now.count - old.count,
    sum: now.sum - old.sum,
  };
}

const mean = ({ count, sum }: Histogram): number => (count === 0 ? 0 : sum / count);
const milliseconds = (seconds: number): string => (seconds * 1000).toFixed(2);
