import { parquetReadObjects } from 'hyparquet';
import type { Connections } from './connect.js';
import type { Flight } from './flights.js';
import { entityOf, publishProbes } from './publish.js';
import { until } from './until.js';

export interface Comparison {
  readonly values: number;
  readonly mismatches: number;
  /** Windows whose edge moved while they were read: they prove nothing and are not counted. */
  readonly moved: number;
  readonly examples: readonly string[];
}

const FEATURES = [
  ...['origin_flights_1h', 'origin_mean_1h', 'origin_mean_1d', 'origin_mean_7d', 'origin_std_1d', 'origin_max_1h'].map(
    (f) => `from_origin:${f}`,
  ),
  ...['destination_mean_1h', 'destination_mean_1d', 'destination_mean_7d', 'destination_percentile_1d'].map((f) => `to_destination:${f}`),
  ...['route_flights_7d', 'route_mean_1d', 'route_mean_7d', 'route_last_7d'].map((f) => `on_route:${f}`),
];

/**
 * Features as they are served now, against a training set as of the moments just before and just after the read, bit by bit. The server
 * read at some moment between the two, so a value that both agree on must be the served one.
 */
export async function compareServed(site: Connections, flights: readonly Flight[]): Promise<Comparison> {
  const beforeMs = Date.now();
  const { vectors } = await site.features.getOnlineFeatures({
    project: site.project,
    features: FEATURES,
    entities: flights.map((flight) => ({ keys: entityOf(flight) })),
  });
  const afterMs = Math.max(Date.now(), beforeMs + 1);
  await publishProbes(site, flights, [beforeMs, afterMs]);
  await until('the probes in the offline store', async () => {
    const { views } = await site.features.listViews({ project: site.project });
    return (views.find((view) => view.name === 'probe')?.offlineRows ?? 0) >= 2 * flights.length;
  });
  const set = await site.features.buildTrainingSet({
    project: site.project,
    labelView: 'probe',
    labelFeature: 'probe',
    features: FEATURES,
    from: new Date(beforeMs),
    to: new Date(afterMs + 1),
  });
  const answer = await fetch(`${site.featuresUrl}${set.path}`, site.apiKey ? { headers: { authorization: `Bearer ${site.apiKey}` } } : {});
  const rows = await parquetReadObjects({ file: await answer.arrayBuffer() });
  const key = (flight: unknown, atMs: number): string => `${String(flight)}@${atMs}`;
  const rowOf = new Map(rows.map((row) => [key(row.flight, (row.event_time as Date).getTime()), row]));
  const result = { values: 0, mismatches: 0, moved: 0, examples: [] as string[] };
  for (const [i, flight] of flights.entries()) {
    const [before, after] = [rowOf.get(key(flight.id, beforeMs))!, rowOf.get(key(flight.id, afterMs))!];
    for (const [f, feature] of FEATURES.entries()) {
      const column = feature.replace(':', '__');
      const [a, b] = [numberOf(before[column]), numberOf(after[column])];
      const servedValue = vectors[i]!.values[f] as number | null;
      if (!Object.is(a, b)) result.moved++;
      else {
        result.values++;
        if (Object.is(servedValue, a)) continue;
        result.mismatches++;
        if (result.examples.length < 5) result.examples.push(`${feature} of ${flight.id}: served ${servedValue}, recomputed ${a}`);
      }
    }
  }
  return result;
}

function numberOf(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}
