import { predictionsLogged } from '@headrace/events/catalog';
import { fromRecord } from '@headrace/events/envelope';
import type { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { until } from './until.js';

/** Stands for a value that the log keeps to itself. */
export const REDACTED = Symbol('redacted');

/** Values of one prediction as the model saw them, by column; null = missing. */
export type ServedRow = ReadonlyMap<string, ServedValue>;
type ServedValue = number | null | typeof REDACTED;

const SESSION_TIMEOUT_MS = 10_000;

/** What serving wrote down of each of these predictions, read from the log itself. @throws AppError DEADLINE_EXCEEDED when some never come. */
export async function readServed(
  kafka: KafkaClients,
  project: string,
  predictionIds: ReadonlySet<string>,
): Promise<Map<string, ServedRow>> {
  const served = new Map<string, ServedRow>();
  const group = `example-flights-${project}`;
  const consumer = kafka.consumer({
    ...{ topic: predictionsLogged.topic, group, from: 'earliest', concurrency: 1, sessionTimeoutMs: SESSION_TIMEOUT_MS },
    onBatch: async (batch) => {
      for (const record of batch.records) {
        const { event } = fromRecord(predictionsLogged, record.value ?? new Uint8Array(), record.headers, record.offset);
        if (event.project !== project) continue;
        const hidden = event.redacted.map(({ name }): [string, ServedValue] => [name, REDACTED]);
        for (const [row, id] of event.predictionIds.entries())
          if (predictionIds.has(id))
            served.set(
              id,
              new Map([...event.columns.map(({ name, numbers }): [string, ServedValue] => [name, numberOf(numbers[row])]), ...hidden]),
            );
      }
      await batch.commit(String(BigInt(batch.records.at(-1)!.offset) + 1n));
    },
  });
  await consumer.start();
  try {
    await until(`${predictionIds.size} predictions in the log`, () => Promise.resolve(served.size === predictionIds.size));
  } finally {
    await consumer.stop();
    await kafka.admin().deleteGroup(group);
  }
  return served;
}

function numberOf(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : value;
}
