import { AppError } from '@headrace/base/errors';
import type { OutgoingRecord } from '@headrace/events/envelope';

/** Brokers take record batches up to 1,048,588 bytes unless told otherwise (`message.max.bytes`); a batch has 61 bytes of its own. */
export const MAX_MESSAGE_BYTES = 1_000_000;
/** Dead letters carry their original whole plus the reason. Strangers may send up to the broker's limit, which is 8 MiB on our own brokers. */
export const DEAD_LETTER_MAX_BYTES = 9 * 1024 * 1024;
/** Lengths, timestamps and offsets of a record are varints: at most this much. */
const RECORD_OVERHEAD_BYTES = 32;
const HEADER_OVERHEAD_BYTES = 10;

export function recordBytes(record: OutgoingRecord): number {
  let bytes = record.value.byteLength + Buffer.byteLength(record.key) + RECORD_OVERHEAD_BYTES;
  for (const [name, value] of Object.entries(record.headers))
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + HEADER_OVERHEAD_BYTES;
  return bytes;
}

const limitOf = (topic: string, maxBytes: number): number =>
  topic.endsWith('.dead') ? Math.max(maxBytes, DEAD_LETTER_MAX_BYTES) : maxBytes;

/**
 * Slices in order, each small enough for the broker even when all of it lands in one partition: the broker's limit is for a
 * whole batch. @throws AppError MESSAGE_TOO_LARGE when one record alone is too large
 */
export function sendSlices(records: readonly OutgoingRecord[], maxBytes: number): OutgoingRecord[][] {
  const slices: OutgoingRecord[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const record of records) {
    const size = checkSize(record, maxBytes);
    if (bytes + size > maxBytes) {
      slices.push([]);
      bytes = 0;
    }
    slices.at(-1)!.push(record);
    bytes += size;
  }
  return slices;
}

/** @returns the record's size in bytes. @throws AppError MESSAGE_TOO_LARGE */
export function checkSize(record: OutgoingRecord, maxBytes: number): number {
  const size = recordBytes(record);
  const limit = limitOf(record.topic, maxBytes);
  if (size > limit) throw tooLarge(record.topic, `${size} bytes with key and headers; the limit is ${limit}`);
  return size;
}

export const tooLarge = (topic: string, what: string, cause?: unknown): AppError =>
  new AppError('MESSAGE_TOO_LARGE', `${topic}: the event is too large: ${what}`, { details: { topic }, cause });
