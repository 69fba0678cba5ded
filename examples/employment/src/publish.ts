import { featureRowsPublished, outcomesObserved } from '@headrace/events/catalog';
import type { Connections } from './connect.js';
import type { Person } from './people.js';

const ROWS_PER_EVENT = 500;

/** What the people answered, true from the first day of the survey year. */
export function publishFeatures(site: Connections, people: readonly Person[], year: number): Promise<void> {
  const eventTime = new Date(`${year}-01-01T00:00:00Z`);
  return publishRows(site, 'person', people, (person) => ({
    entity: { person_id: person.id },
    eventTime,
    values: { ...person.features },
  }));
}

/** Whether they worked, known at its end. */
export function publishLabels(site: Connections, people: readonly Person[], year: number): Promise<void> {
  const eventTime = new Date(`${year}-12-31T00:00:00Z`);
  return publishRows(site, 'employment', people, (person) => ({
    entity: { person_id: person.id },
    eventTime,
    values: { employed: person.employed },
  }));
}

/** The truth about predictions already made; order and batching do not matter. */
export async function publishOutcomes(site: Connections, labels: ReadonlyMap<string, number>): Promise<void> {
  const observedAt = new Date();
  const outcomes = [...labels].map(([predictionId, label]) => ({ predictionId, label, observedAt }));
  await site.events.publish(
    outcomesObserved,
    chunks(outcomes).map((chunk) => ({ project: site.project, outcomes: chunk })),
  );
}

interface Row {
  readonly entity: Record<string, string>;
  readonly eventTime: Date;
  readonly values: Record<string, number>;
}

async function publishRows(site: Connections, view: string, people: readonly Person[], rowOf: (person: Person) => Row): Promise<void> {
  await site.events.publish(
    featureRowsPublished,
    chunks(people.map(rowOf)).map((rows) => ({ project: site.project, view, rows })),
  );
}

function chunks<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / ROWS_PER_EVENT) }, (_, i) =>
    items.slice(i * ROWS_PER_EVENT, (i + 1) * ROWS_PER_EVENT),
  );
}
