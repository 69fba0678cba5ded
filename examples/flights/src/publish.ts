import { featureRowsPublished, outcomesObserved } from '@headrace/events/catalog';
import type { Connections } from './connect.js';
import { DAY_MS, type Flight, type FlightTable } from './flights.js';

const ROWS_PER_EVENT = 500;
/** Events of one acknowledged send. */
const EVENTS_PER_SEND = 40;
/** Schedules are known long before. */
const SCHEDULE_LEAD_MS = DAY_MS;

interface Row {
  readonly entity: Record<string, string>;
  readonly eventTime: Date;
  readonly values: Record<string, number | string>;
}

interface ViewRows {
  readonly project: string;
  readonly view: string;
  readonly rows: Row[];
}

/**
 * The stream: each flight tells its origin, its destination and its route how late it was, at the moment it lands. The label of a flight
 * comes then too, dated at its departure. @param landings indices, in the order in which they land @param labelled some of these
 */
export async function publishLandings(
  site: Connections,
  flights: FlightTable,
  landings: Uint32Array,
  labelled: ReadonlySet<number>,
  onProgress: (flights: number) => void = () => undefined,
): Promise<void> {
  const stream = new Stream(site);
  for (let from = 0; from < landings.length; from += ROWS_PER_EVENT) {
    const indices = Array.from(landings.subarray(from, from + ROWS_PER_EVENT));
    const chunk = indices.map((index) => flights.at(index));
    const told = (entityOf: (flight: Flight) => Record<string, string>): Row[] =>
      chunk.map((flight) => ({
        entity: entityOf(flight),
        eventTime: new Date(flight.landsMs),
        values: { flight: flight.id, delay: flight.delay },
      }));
    await stream.add(
      'from_origin',
      told(({ origin }) => ({ origin })),
    );
    await stream.add(
      'to_destination',
      told(({ destination }) => ({ destination })),
    );
    await stream.add(
      'on_route',
      told(({ origin, destination }) => ({ origin, destination })),
    );
    const labels = chunk.filter((_, i) => labelled.has(indices[i]!));
    await stream.add(
      'arrival',
      labels.map((flight) => ({ entity: entityOf(flight), eventTime: new Date(flight.departsMs), values: { delay: flight.delay } })),
    );
    onProgress(from + chunk.length);
  }
  await stream.end();
}

export async function publishSchedules(site: Connections, flights: readonly Flight[]): Promise<void> {
  const stream = new Stream(site);
  for (let from = 0; from < flights.length; from += ROWS_PER_EVENT)
    await stream.add(
      'schedule',
      flights.slice(from, from + ROWS_PER_EVENT).map((flight) => ({
        entity: entityOf(flight),
        eventTime: new Date(flight.departsMs - SCHEDULE_LEAD_MS),
        values: { distance: flight.distance, departs: flight.scheduledMs },
      })),
    );
  await stream.end();
}

/** Rows of the label view `probe`: the moments at which features are to be recomputed. @returns how many. */
export async function publishProbes(site: Connections, probes: readonly { flight: Flight; atMs: number }[]): Promise<number> {
  const unique = new Map(probes.map((probe) => [`${probe.flight.id}@${probe.atMs}`, probe]));
  const rows = [...unique.values()].map(({ flight, atMs }): Row => ({
    entity: entityOf(flight),
    eventTime: new Date(atMs),
    values: { probe: 1 },
  }));
  const stream = new Stream(site);
  for (let from = 0; from < rows.length; from += ROWS_PER_EVENT) await stream.add('probe', rows.slice(from, from + ROWS_PER_EVENT));
  await stream.end();
  return rows.length;
}

/** The truth about predictions, for the monitor. */
export async function publishOutcomes({ events, project }: Connections, delays: ReadonlyMap<string, number>): Promise<void> {
  const observedAt = new Date();
  const outcomes = [...delays].map(([predictionId, label]) => ({ predictionId, label, observedAt }));
  const chunks = Array.from({ length: Math.ceil(outcomes.length / ROWS_PER_EVENT) }, (_, i) => ({
    project,
    outcomes: outcomes.slice(i * ROWS_PER_EVENT, (i + 1) * ROWS_PER_EVENT),
  }));
  await events.publish(outcomesObserved, chunks);
}

export function entityOf({ id, origin, destination }: Flight): Record<string, string> {
  return { flight: id, origin, destination };
}

/** Events are sent a bounded number at a time, so that three million flights never stand in memory as rows. */
class Stream {
  #waiting: ViewRows[] = [];

  constructor(private readonly site: Connections) {}

  async add(view: string, rows: Row[]): Promise<void> {
    if (rows.length === 0) return;
    this.#waiting.push({ project: this.site.project, view, rows });
    if (this.#waiting.length >= EVENTS_PER_SEND) await this.end();
  }

  async end(): Promise<void> {
    const events = this.#waiting;
    this.#waiting = [];
    if (events.length > 0) await this.site.events.publish(featureRowsPublished, events);
  }
}
