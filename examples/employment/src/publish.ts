import { featureRowsPublished, outcomesObserved } from '@headrace/events/catalog';
import type { EventPublisher } from '@headrace/platform/kafka/publisher';
import type { Person } from './people.js';

const ROWS_PER_EVENT = 500;
const PROJECT = 'default';

/** What the people answered, true from the first day of the survey year. */
export function publishFeatures(events: EventPublisher, people: readonly Person[], year: number): Promise<void> {
  const eventTime = new Date(`${year}-01-01T00:00:00Z`);
  return publishRows(events, 'person', people, (person) => ({
    entity: { person_id: person.id },
    eventTime,
    values: { ...person.features },
  }));
}

/** Whether they worked, known at its end. */
export function publishLabels(events: EventPublisher, people: readonly Person[], year: number): Promise<void> {
  const eventTime = new Date(`${year}-12-31T00:00:00Z`);
  return publishRows(events, 'employment', people, (person) => ({
    entity: { person_id: person.id },
    eventTime,
    values: { employed: person.employed },
  }));
}

/** The truth about predictions already made; order and batching do not matter. */
export async function publishOutcomes(events: EventPublisher, labels: ReadonlyMap<string, number>): Promise<void> {
  const observedAt = new Date();
  const outcomes = [...labels].map(([predictionId, label]) => ({ predictionId, label, observedAt }));
  await events.publish(
    outcomesObserved,
    chunks(outcomes).map((chunk) => ({ project: PROJECT, outcomes: chunk })),
  );
}

interface Row {
  readonly entity: Record<string, string>;
  readonly eventTime: Date;
  readonly values: Record<string, number>;
}

async function publishRows(events: EventPublisher, view: string, people: readonly Person[], rowOf: (person: Person) => Row): Promise<void> {
  await events.publish(
    featureRowsPublished,
    chunks(people.map(rowOf)).map((rows) => ({ project: PROJECT, view, rows })),
  );
}

function chunks<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / ROWS_PER_EVENT) }, (_, i) =>
    items.slice(i * ROWS_PER_EVENT, (i + 1) * ROWS_PER_EVENT),
  );
}
