import { FeatureRowsDecoder } from '@headrace/codec/feature-rows';
import { FeatureRowsPublished } from '@headrace/contracts/events/v1/events';
import { FeatureRow } from '@headrace/contracts/features/v1/features';
import { featureRowsPublished, type EventType } from '@headrace/events/catalog';
import type { IncomingRow } from '../domain/feature-row.js';

/** The event as this service reads it. */
export interface FeatureRowsEvent {
  readonly project: string;
  readonly view: string;
  readonly rows: readonly ReceivedRow[];
}

export interface ReceivedRow extends IncomingRow {
  /** The row as it stood in a JSON event, for the dead letter. */
  readonly original?: unknown;
}

const decoder = new FeatureRowsDecoder();

/**
 * The catalogue's event with the hot codec for protobuf and a JSON reader of our own. The generated one is for friends: it makes text
 * of any key (`null`, lists), 1970 of a numeric time, and local time of one without a zone. Here such a row is kept as it is, and
 * validation refuses it alone.
 */
export const featureRowsEvent: EventType<FeatureRowsEvent> = {
  ...(featureRowsPublished as unknown as EventType<FeatureRowsEvent>),
  message: {
    encode: (event) => FeatureRowsPublished.encode(event as FeatureRowsPublished),
    decode: (bytes) => decoder.decode(bytes),
    toJSON: (event) => FeatureRowsPublished.toJSON(event as FeatureRowsPublished),
    fromJSON: readEvent,
  },
};

/** An event of one row in the documented JSON. */
export function rowAsJson(project: string, view: string, row: ReceivedRow): Buffer {
  return Buffer.from(JSON.stringify({ project, view, rows: [row.original ?? generatedJson(row)] }));
}

type JsonObject = Readonly<Record<string, unknown>>;

/** @throws Error when the frame around the rows is wrong; a wrong row is left to validation. */
function readEvent(json: unknown): FeatureRowsEvent {
  const { project = '', view = '', rows = [] } = json as JsonObject;
  if (typeof project !== 'string') throw new Error('`project` must be a text');
  if (typeof view !== 'string') throw new Error('`view` must be a text');
  if (!Array.isArray(rows)) throw new Error('`rows` must be a list');
  return { project, view, rows: rows.map(readJsonRow) };
}

function readJsonRow(json: unknown): ReceivedRow {
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

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A time that is no time has no JSON form; it is left out, and the reason tells. */
function generatedJson({ entity, eventTime, values }: IncomingRow): unknown {
  const timeIsValid = eventTime !== undefined && !Number.isNaN(eventTime.getTime());
  return FeatureRow.toJSON({ entity, eventTime: timeIsValid ? eventTime : undefined, values } as FeatureRow);
}
