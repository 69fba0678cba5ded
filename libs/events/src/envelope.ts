import { AppError, messageOf } from '@headrace/base/errors';
import type { EventType } from './catalog.js';

/**
 * CloudEvents 1.0, Kafka protocol binding, binary mode: attributes are headers with the prefix `ce_`, the body is the bare
 * message. Protobuf (`application/protobuf`) leaves our services; both protobuf and proto3 JSON come in.
 */
export interface EventHeaders {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly timeMs: number;
  readonly contentType: string;
  readonly project: string;
  /** W3C trace context of what caused the event. */
  readonly traceparent: string;
  /** Stays the same along a whole chain of events: from the alert to the promotion. */
  readonly correlationId: string;
  /** Id of the event that caused this one; empty for the first of a chain. */
  readonly causationId: string;
}

/** Header names and UTF-8 values as they lie on Kafka. */
export type WireHeaders = Record<string, string>;

export interface Envelope<T> extends EventHeaders {
  readonly event: T;
}

/** What a sender may say; the rest follows from the catalogue. */
export interface EnvelopeOptions {
  readonly id: string;
  readonly source: string;
  readonly timeMs: number;
  readonly traceparent?: string;
  readonly correlationId?: string;
  readonly causationId?: string;
}

/** An event as it goes to Kafka. */
export interface OutgoingRecord {
  readonly topic: string;
  readonly key: string;
  readonly value: Uint8Array;
  readonly headers: WireHeaders;
}

export function toRecord<T>(type: EventType<T>, event: T, options: EnvelopeOptions): OutgoingRecord {
  const headers: WireHeaders = {
    ce_specversion: '1.0',
    ce_id: options.id,
    ce_source: options.source,
    ce_type: type.type,
    ce_subject: type.subject(event),
    ce_time: new Date(options.timeMs).toISOString(),
    ce_project: type.project(event),
    ce_correlationid: options.correlationId ?? options.id,
    'content-type': 'application/protobuf',
  };
  if (options.traceparent) headers.traceparent = options.traceparent;
  if (options.causationId) headers.ce_causationid = options.causationId;
  return { topic: type.topic, key: type.key(event), value: type.message.encode(event).finish(), headers };
}

/**
 * Bytes from Kafka -> event. Without a content type, `{` as the first byte means JSON (any Kafka producer works), everything
 * else protobuf. @throws AppError EVENT_MALFORMED with what was wrong; the runner dead-letters it.
 */
export function fromRecord<T>(type: EventType<T>, value: Uint8Array, headers: WireHeaders, fallbackId: string): Envelope<T> {
  const contentType = headers['content-type'] ?? (value[0] === 0x7b ? 'application/json' : 'application/protobuf');
  return {
    id: headers.ce_id ?? fallbackId,
    source: headers.ce_source ?? 'unknown',
    type: headers.ce_type ?? type.type,
    subject: headers.ce_subject ?? '',
    timeMs: headers.ce_time ? Date.parse(headers.ce_time) : Number.NaN,
    contentType,
    project: headers.ce_project ?? '',
    traceparent: headers.traceparent ?? '',
    correlationId: headers.ce_correlationid ?? headers.ce_id ?? fallbackId,
    causationId: headers.ce_causationid ?? '',
    event: decodeBody(type, value, contentType),
  };
}

function decodeBody<T>(type: EventType<T>, value: Uint8Array, contentType: string): T {
  const media = contentType.split(';', 1)[0]!.trim().toLowerCase();
  try {
    if (media === 'application/protobuf' || media === 'application/x-protobuf') return type.message.decode(value);
    if (media === 'application/json' || media === 'application/cloudevents+json') return type.message.fromJSON(parseObject(value));
  } catch (error) {
    throw new AppError('EVENT_MALFORMED', `${type.topic}: the body is not a valid ${media} ${type.type}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  throw new AppError(
    'EVENT_MALFORMED',
    `${type.topic}: content-type ${contentType} is not accepted; send application/json or application/protobuf`,
  );
}

function parseObject(value: Uint8Array): unknown {
  const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value));
  if (parsed === null || typeof parsed !== 'object' || Array.isArray(parsed)) throw new Error('the top level must be a JSON object');
  return parsed;
}
