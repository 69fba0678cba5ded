import type { FeatureValue } from '@headrace/codec/feature-blob';
import { joinEntityKey } from '@headrace/codec/feature-key';
import { FeatureRowData } from '@headrace/codec/feature-rows';
import type { ErrorCode } from '@headrace/base/errors';
import { contentHash52 } from './row-hash.js';
import { isValueFault, readField, type ValueFault, type ValueLimits } from './feature-value.js';
import { keyFault } from './join-key.js';
import { readShapedKeys, readShapedValues } from './shaped-row.js';
import type { View } from './view.js';

/** A row as it came from outside; nothing in it is trusted. */
export interface IncomingRow {
  readonly entity: Readonly<Record<string, unknown>>;
  readonly eventTime: Date | undefined;
  readonly values: Readonly<Record<string, unknown>> | undefined;
  /** The row as it stood in JSON, for the quarantine. */
  readonly original?: unknown;
}

/** A row that fits its view. */
export interface FeatureRow {
  /** Joined key values, see `joinEntityKey`. */
  readonly entityKey: string;
  /** Key values in the order of the entity's definition. */
  readonly keys: readonly string[];
  readonly eventTimeMs: number;
  /** In the order of the view's features. */
  readonly values: readonly FeatureValue[];
  /** 52 bits over the values that are not null: equal content, equal hash, whatever version of the view read it. */
  readonly contentHash: number;
}

export interface RowFault {
  readonly code: ErrorCode;
  readonly reason: string;
  /** The feature whose value is at fault; absent when the fault lies elsewhere. */
  readonly feature?: string;
}

export interface RowLimits extends ValueLimits {
  /** How far event time may lie ahead of the arrival. */
  readonly futureSkewMs: number;
}

/** Of the joined key: a B-tree entry of Postgres may have 2.7 kB, features included. */
const ENTITY_BYTES_MAX = 1024;
/** Rows before it are mistakes of a unit or of an unset clock, and would each make a partition. */
const EARLIEST_MS = Date.UTC(1900, 0, 1);

/**
 * Rows of the hot codec take a shorter way to the same answer; what is wrong with one is told by the long way.
 * @param arrivedMs when the row arrived; the future begins `futureSkewMs` after it, so that a redelivery is judged the same.
 */
export function readRow(view: View, row: IncomingRow, arrivedMs: number, limits: RowLimits): FeatureRow | RowFault {
  const shaped = row instanceof FeatureRowData;
  const keys = (shaped ? readShapedKeys(view, row.keys) : undefined) ?? readKeys(view, row.entity);
  if (typeof keys === 'string') return invalid(keys);
  const time = readEventTime(shaped ? row.eventTimeMs : row.eventTime?.getTime(), arrivedMs, limits.futureSkewMs);
  if (typeof time !== 'number') return time;
  const values =
    (shaped && row.features ? readShapedValues(view, row.features, limits) : undefined) ?? readValues(view, row.values, limits);
  if (!Array.isArray(values)) return typeof values === 'string' ? invalid(values) : { ...invalid(values.fault), feature: values.feature };
  const entityKey = joinEntityKey(keys);
  if (entityKey.length * 3 > ENTITY_BYTES_MAX && Buffer.byteLength(entityKey) > ENTITY_BYTES_MAX)
    return invalid(`the join keys together have more than ${ENTITY_BYTES_MAX} bytes`);
  return { entityKey, keys, eventTimeMs: time, values, contentHash: contentHash52(view.blob, values) };
}

export function isFault(row: FeatureRow | RowFault): row is RowFault {
  return 'code' in row;
}

/** Join keys in the order of the view, also of a row that is refused for something else; undefined when they are themselves at fault. */
export function keysOf(view: View, row: IncomingRow): readonly string[] | undefined {
  const keys = (row instanceof FeatureRowData ? readShapedKeys(view, row.keys) : undefined) ?? readKeys(view, row.entity);
  return typeof keys === 'string' ? undefined : keys;
}

/** NaN = none, or no time. */
export function eventTimeOf(row: IncomingRow): number {
  return (row instanceof FeatureRowData ? row.eventTimeMs : row.eventTime?.getTime()) ?? Number.NaN;
}

function readKeys(view: View, entity: IncomingRow['entity']): string[] | string {
  const { joinKeys } = view;
  const keys: string[] = [];
  for (const name of joinKeys) {
    const value = Object.hasOwn(entity, name) ? entity[name] : undefined;
    if (value === undefined) return `join key ${name} is missing; view ${view.name} wants ${joinKeys.join(', ')}`;
    if (typeof value !== 'string') return `join key ${name} is ${JSON.stringify(value)?.slice(0, 60)}; a text or a whole number wanted`;
    const fault = keyFault(value);
    if (fault) return `join key ${name} ${fault}`;
    keys.push(value);
  }
  for (const name of Object.keys(entity)) {
    if (!joinKeys.includes(name)) return `${quoted(name)} is no join key of view ${view.name}; it wants ${joinKeys.join(', ')}`;
  }
  return keys;
}

function readEventTime(ms: number | undefined, arrivedMs: number, futureSkewMs: number): number | RowFault {
  if (ms === undefined) return invalid('eventTime is missing');
  if (Number.isNaN(ms)) return invalid('eventTime is no timestamp; send RFC 3339, such as 2016-01-01T00:00:00Z');
  // What an empty protobuf Timestamp means, and what a bare JSON number decodes to.
  if (ms === 0) return invalid('eventTime is 1970-01-01T00:00:00Z, which is what an unset or numeric one decodes to; send RFC 3339 text');
  if (ms < EARLIEST_MS) return invalid(`eventTime ${new Date(ms).toISOString()} lies before 1900`);
  if (ms <= arrivedMs + futureSkewMs) return ms;
  const aheadS = Math.round((ms - arrivedMs) / 1000);
  return {
    code: 'ROW_FUTURE_DATED',
    reason: `eventTime ${new Date(ms).toISOString()} lies ${aheadS} s ahead of its arrival; at most ${futureSkewMs / 1000} s are allowed`,
  };
}

function readValues(view: View, given: IncomingRow['values'], limits: ValueLimits): FeatureValue[] | ValueFault | string {
  if (given === undefined || Array.isArray(given)) return 'values must be an object of feature name to value';
  const { features } = view.spec;
  const values = new Array<FeatureValue>(features.length);
  for (let i = 0; i < features.length; i++) {
    const field = features[i]!;
    const value = readField(field, Object.hasOwn(given, field.name) ? given[field.name] : undefined, limits);
    if (isValueFault(value)) return value;
    values[i] = value;
  }
  for (const name of Object.keys(given)) {
    if (!view.fieldIndex.has(name)) return `${quoted(name)} is no feature of view ${view.name} version ${view.version}`;
  }
  return values;
}

function invalid(reason: string): RowFault {
  return { code: 'ROW_INVALID', reason };
}

function quoted(name: string): string {
  return JSON.stringify(name.length > 63 ? `${name.slice(0, 63)}...` : name);
}
