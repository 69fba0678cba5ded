import type { IncomingRow } from './feature-row.js';

type JsonObject = Readonly<Record<string, unknown>>;

/** A row in the documented JSON. What is wrong in it is kept as it is, and validation refuses that row alone. */
export function readJsonRow(json: unknown): IncomingRow {
  const { entity, eventTime, event_time: snakeTime, values } = isObject(json) ? json : ({} as JsonObject);
  return {
    entity: isObject(entity) ? readKeys(entity) : {},
    eventTime: readTime(eventTime ?? snakeTime),
    values: isObject(values) ? values : undefined,
    original: json,
  };
}

/** Keys are often numbers in JSON; as text they are the same key as in protobuf. */
function readKeys(entity: JsonObject): JsonObject {
  for (const name in entity) {
    if (typeof entity[name] === 'string') continue;
    return Object.fromEntries(Object.entries(entity).map(([key, value]) => [key, Number.isSafeInteger(value) ? String(value) : value]));
  }
  return entity;
}

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

function readTime(time: unknown): Date | undefined {
  if (time === undefined || time === null) return undefined;
  return new Date(typeof time === 'string' && RFC_3339.test(time) ? time : Number.NaN);
}

/** The row in the documented JSON: as it came, or made anew. A time that is no time has no JSON form; it is left out, and the reason tells. */
export function rowAsJson({ entity, eventTime, values, original }: IncomingRow): unknown {
  if (original !== undefined) return original;
  const timeIsValid = eventTime !== undefined && !Number.isNaN(eventTime.getTime());
  return { entity, ...(timeIsValid ? { eventTime: eventTime.toISOString() } : {}), values };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
