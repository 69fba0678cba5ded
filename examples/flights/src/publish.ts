import { featureRowsPublished } from '@headrace/events/catalog';
import type { Connections } from './connect.js';
import type { Flight } from './flights.js';

const ROWS_PER_EVENT = 500;
/** How late a flight is late: the definition of the US Department of Transportation. */
export const LATE_MINUTES = 15;
/** Schedules are known long before. */
const SCHEDULE_LEAD_MS = 86_400_000;

interface Row {
  readonly entity: Record<string, string>;
  readonly eventTime: Date;
  readonly values: Record<string, number | string>;
}

/** Each landed flight tells its origin, its destination and its route how late it was, at the moment it lands. @returns the rows of each view. */
export async function publishLandings(site: Connections, flights: readonly Flight[]): Promise<number> {
  const landed = [...flights].sort((a, b) => a.landsMs - b.landsMs);
  const rowsOf = (entityOf: (flight: Flight) => Record<string, string>): Row[] =>
    landed.map((flight) => ({
      entity: entityOf(flight),
      eventTime: new Date(flight.landsMs),
      values: { flight: flight.id, delay: flight.delay },
    }));
  await publish(
    site,
    'from_origin',
    rowsOf(({ origin }) => ({ origin })),
  );
  await publish(
    site,
    'to_destination',
    rowsOf(({ destination }) => ({ destination })),
  );
  await publish(
    site,
    'on_route',
    rowsOf(({ origin, destination }) => ({ origin, destination })),
  );
  return landed.length;
}

export async function publishSchedules(site: Connections, flights: readonly Flight[]): Promise<void> {
  const rows = flights.map((flight): Row => ({
    entity: entityOf(flight),
    eventTime: new Date(flight.departsMs - SCHEDULE_LEAD_MS),
    values: { distance: flight.distance, hour: flight.hour, day_of_week: flight.dayOfWeek },
  }));
  await publish(site, 'schedule', rows);
}

/** Late labels: dated at the departure, published after the landing. */
export async function publishLabels(site: Connections, flights: readonly Flight[]): Promise<void> {
  const rows = flights.map((flight): Row => ({
    entity: entityOf(flight),
    eventTime: new Date(flight.departsMs),
    values: { late: lateOf(flight) },
  }));
  await publish(site, 'punctuality', rows);
}

export async function publishProbes(site: Connections, flights: readonly Flight[], momentsMs: readonly number[]): Promise<void> {
  await publish(
    site,
    'probe',
    momentsMs.flatMap((ms, probe) =>
      flights.map((flight): Row => ({ entity: entityOf(flight), eventTime: new Date(ms), values: { probe } })),
    ),
  );
}

export function entityOf({ id, origin, destination }: Flight): Record<string, string> {
  return { flight: id, origin, destination };
}

export function lateOf({ delay }: Flight): number {
  return delay >= LATE_MINUTES ? 1 : 0;
}

async function publish({ events, project }: Connections, view: string, rows: readonly Row[]): Promise<void> {
  const chunks = Array.from({ length: Math.ceil(rows.length / ROWS_PER_EVENT) }, (_, i) => ({
    project,
    view,
    rows: rows.slice(i * ROWS_PER_EVENT, (i + 1) * ROWS_PER_EVENT),
  }));
  await events.publish(featureRowsPublished, chunks);
}
