import { newId } from '@headrace/base/ids';
import { AppError, type ErrorCode } from '@headrace/base/errors';
import { deadLetterTopic } from '@headrace/events/catalog';
import type { OutgoingRecord, WireHeaders } from '@headrace/events/envelope';
import { parseTraceparent } from '../trace-context.js';
import type { EventConsumer, EventProducer, PartitionBatch, RawRecord, TopicAdmin, ConsumerOptions } from './client.js';
import { checkSize, DEAD_LETTER_MAX_BYTES, MAX_MESSAGE_BYTES, recordBytes } from './record-size.js';
import type { Quarantined, ReceivedRecord } from './subscription.js';

/** Headers that a dead letter has besides those of the original. */
export const DEAD = {
  code: 'dead-code',
  reason: 'dead-reason',
  group: 'dead-group',
  topic: 'dead-topic',
  partition: 'dead-partition',
  offset: 'dead-offset',
  traceId: 'dead-trace-id',
  /** When the original was written. */
  timestamp: 'dead-timestamp',
  /** Set when even the dead-letter topic could not take the body; it still lies at topic, partition, offset. */
  droppedBytes: 'dead-dropped-bytes',
} as const;
/** On a replayed event: the only group that it is meant for. */
export const REPLAY_FOR = 'replay-for';

const REASON_MAX = 2_000;

/** The original bytes, key and headers, with where they lay and why they could not be handled. */
export function toDeadLetter(received: ReceivedRecord, code: ErrorCode, reason: string, group = ''): OutgoingRecord {
  const { topic, partition, offset, key, rawValue, rawHeaders, timestampMs } = received;
  const headers: WireHeaders = {
    ...rawHeaders,
    [DEAD.code]: code,
    [DEAD.reason]: reason.slice(0, REASON_MAX),
    [DEAD.group]: group,
    [DEAD.topic]: topic,
    [DEAD.partition]: String(partition),
    [DEAD.offset]: offset,
    [DEAD.traceId]: parseTraceparent(rawHeaders['traceparent'])?.traceId ?? '',
    [DEAD.timestamp]: new Date(timestampMs).toISOString(),
  };
  return fitting({ topic: deadLetterTopic(topic), key, value: rawValue, headers });
}

/** One bad part of an event; its own event id, so that a replay is not taken for the event that was handled already. */
export function toQuarantine(received: ReceivedRecord, part: Quarantined, index: number, eventId: string, group = ''): OutgoingRecord {
  const rawHeaders: WireHeaders = {
    ...received.rawHeaders,
    ce_id: `${eventId}/quarantined/${index}`,
    ce_causationid: eventId,
    'content-type': part.contentType,
  };
  return toDeadLetter({ ...received, rawValue: part.value, rawHeaders }, part.code, part.reason, group);
}

/** A letter that is too large even for its topic goes without its body: the partition must move on. */
function fitting(letter: OutgoingRecord): OutgoingRecord {
  try {
    checkSize(letter, DEAD_LETTER_MAX_BYTES);
    return letter;
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'MESSAGE_TOO_LARGE')) throw error;
    return {
      ...letter,
      key: letter.key.slice(0, 1_000),
      value: new Uint8Array(),
      headers: { ...clipped(letter.headers), [DEAD.droppedBytes]: String(letter.value.byteLength) },
    };
  }
}

const clipped = (headers: WireHeaders): WireHeaders =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.slice(0, REASON_MAX)]));

/** Which letters to send again; every given field must match. */
export interface ReplayFilter {
  readonly code?: ErrorCode;
  readonly group?: string;
  readonly eventId?: string;
  /** Letters written at this time or later. */
  readonly sinceMs?: number;
}

interface ReplayClients {
  producer(): EventProducer;
  consumer(options: ConsumerOptions): EventConsumer;
  admin(): TopicAdmin;
}

/** Longest silence of the broker while there is still something to read. */
const REPLAY_IDLE_MS = 30_000;

/**
 * Sends the letters of `<topic>.dead` back to `topic`, for the group that failed on them alone. Letters stay where they are, so
 * a second replay sends them again; handlers are idempotent. Letters beyond the size limit of events are left: they would only be refused again. @returns how many were sent
 */
export async function replay(clients: ReplayClients, topic: string, filter: ReplayFilter = {}): Promise<number> {
  const source = deadLetterTopic(topic);
  const admin = clients.admin();
  const ends = new Map((await admin.offsets(source)).filter(({ low, high }) => high > low).map(({ partition, high }) => [partition, high]));
  if (ends.size === 0) return 0;

  let sent = 0;
  let progressAtMs = Date.now();
  let finish!: () => void;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const group = `replay-${newId()}`;
  const onBatch = async (batch: PartitionBatch): Promise<void> => {
    const end = ends.get(batch.partition);
    if (end === undefined) return;
    progressAtMs = Date.now();
    const due = batch.records
      .filter((record) => BigInt(record.offset) < end && matches(record, filter))
      .map((record) => toOriginal(topic, record));
    const sendable = due.filter((record) => recordBytes(record) <= MAX_MESSAGE_BYTES);
    await clients.producer().send(sendable);
    sent += sendable.length;
    const next = BigInt(batch.records.at(-1)!.offset) + 1n;
    await batch.commit(next.toString()); // so that a rebalance in the middle goes on from here
    if (next >= end) ends.delete(batch.partition);
    if (ends.size === 0) finish();
  };
  const consumer = clients.consumer({ topic: source, group, from: 'earliest', concurrency: 1, sessionTimeoutMs: 10_000, onBatch });
  let watch: NodeJS.Timeout | undefined;
  try {
    await consumer.start();
    await Promise.race([
      finished,
      consumer.ended.then((error) => Promise.reject(error)),
      new Promise<never>((_, reject) => (watch = watchIdle(() => progressAtMs, source, reject))),
    ]);
  } finally {
    clearInterval(watch);
    await consumer.stop();
    await admin.deleteGroup(group);
  }
  return sent;
}

function watchIdle(progressAtMs: () => number, topic: string, reject: (error: AppError) => void): NodeJS.Timeout {
  return setInterval(() => {
    if (Date.now() - progressAtMs() > REPLAY_IDLE_MS)
      reject(new AppError('DEADLINE_EXCEEDED', `replay of ${topic}: nothing came for ${REPLAY_IDLE_MS} ms; run it again`));
  }, 1_000);
}

function matches({ headers, timestampMs }: RawRecord, { code, group, eventId, sinceMs }: ReplayFilter): boolean {
  if (headers[DEAD.droppedBytes] !== undefined) return false; // nothing left to send
  return (
    (code === undefined || headers[DEAD.code] === code) &&
    (group === undefined || headers[DEAD.group] === group) &&
    (eventId === undefined || headers['ce_id'] === eventId) &&
    (sinceMs === undefined || timestampMs >= sinceMs)
  );
}

function toOriginal(topic: string, { key, value, headers }: RawRecord): OutgoingRecord {
  const dead = new Set<string>(Object.values(DEAD));
  const original: WireHeaders = Object.fromEntries(Object.entries(headers).filter(([name]) => !dead.has(name)));
  const group = headers[DEAD.group];
  if (group) original[REPLAY_FOR] = group;
  return { topic, key: key ? Buffer.from(key).toString('utf8') : '', value: value ?? new Uint8Array(), headers: original };
}
