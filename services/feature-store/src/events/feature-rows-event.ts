import { FeatureRowsDecoder } from '@headrace/codec/feature-rows';
import { FeatureRowsPublished } from '@headrace/contracts/events/v1/events';
import { featureRowsPublished, type EventType } from '@headrace/events/catalog';
import type { IncomingRow } from '../domain/feature-row.js';
import { readJsonRow, rowAsJson } from '../domain/json-row.js';

/** The event as this service reads it. */
export interface FeatureRowsEvent {
  readonly project: string;
  readonly view: string;
  readonly rows: readonly IncomingRow[];
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
export function rowAsEvent(project: string, view: string, row: IncomingRow): Buffer {
  return Buffer.from(JSON.stringify({ project, view, rows: [rowAsJson(row)] }));
}

/** @throws Error when the frame around the rows is wrong; a wrong row is left to validation. */
function readEvent(json: unknown): FeatureRowsEvent {
  const { project = '', view = '', rows = [] } = json as Readonly<Record<string, unknown>>;
  if (typeof project !== 'string') throw new Error('`project` must be a text');
  if (typeof view !== 'string') throw new Error('`view` must be a text');
  if (!Array.isArray(rows)) throw new Error('`rows` must be a list');
  return { project, view, rows: rows.map(readJsonRow) };
}
