import type { OutgoingRecord, WireHeaders } from '@headrace/events/envelope';
import { checkSize, MAX_MESSAGE_BYTES } from '../kafka/record-size.js';
import type { Tx } from './postgres.js';

/** Woken by every commit that enqueues; one channel a database. */
export const OUTBOX_CHANNEL = 'headrace_outbox';

export interface WaitingRecord extends OutgoingRecord {
  readonly id: number;
}

/** Anything that runs SQL: a transaction, the pool, the relay's own connection. */
type Runner = Pick<Tx, 'query' | 'execute'>;

/**
 * Puts events next to the write that they follow from: both commit or neither does. Call it last in the transaction.
 *
 * The lock makes writers of one key wait for each other until commit, because row ids are dealt out before the commit: without it
 * two transactions could commit in one order and be relayed in the other. Locks are taken in one order, so that two
 * calls cannot deadlock.
 * @throws AppError MESSAGE_TOO_LARGE, before the event can block the relay
 */
export async function enqueue(tx: Tx, records: readonly OutgoingRecord[], maxBytes: number = MAX_MESSAGE_BYTES): Promise<void> {
  if (records.length === 0) return;
  for (const record of records) checkSize(record, maxBytes);
  const [topics, keys] = [records.map((record) => record.topic), records.map((record) => record.key)];
  await tx.query(
    `SELECT pg_advisory_xact_lock(lock) FROM (
       SELECT DISTINCT hashtextextended(topic || E'\\x01' || key, 1) AS lock FROM unnest($1::text[], $2::text[]) AS r (topic, key) ORDER BY lock) AS locks`,
    [topics, keys],
  );
  await tx.execute(
    `INSERT INTO platform_outbox (topic, key, value, headers)
     SELECT topic, key, value, headers FROM unnest($1::text[], $2::text[], $3::bytea[], $4::jsonb[]) WITH ORDINALITY AS r (topic, key, value, headers, position) ORDER BY position`,
    [
      topics,
      keys,
      records.map((record) => Buffer.from(record.value.buffer, record.value.byteOffset, record.value.byteLength)),
      records.map((record) => JSON.stringify(record.headers)),
    ],
  );
  await tx.query(`SELECT pg_notify('${OUTBOX_CHANNEL}', '')`);
}

export async function readWaiting(runner: Runner, limit: number): Promise<WaitingRecord[]> {
  return runner.query<{ id: number; topic: string; key: string; value: Buffer; headers: WireHeaders }>(
    'SELECT id, topic, key, value, headers FROM platform_outbox WHERE refused IS NULL ORDER BY id LIMIT $1',
    [limit],
  );
}

/** By id, never "up to id": a transaction with a lower id may commit later. */
export function removeSent(runner: Runner, ids: readonly number[]): Promise<number> {
  return runner.execute('DELETE FROM platform_outbox WHERE id = ANY ($1::bigint[])', [ids]);
}

export function refuse(runner: Runner, id: number, reason: string): Promise<number> {
  return runner.execute('UPDATE platform_outbox SET refused = $2 WHERE id = $1', [id, reason]);
}

export interface Backlog {
  readonly waiting: number;
  readonly refused: number;
  readonly oldestSeconds: number;
}

/** Counting stops here, so that a long outage does not make the metric itself a load. */
const COUNT_MAX = 100_000;

export async function readBacklog(runner: Runner): Promise<Backlog> {
  const [row] = await runner.query<{ waiting: number; refused: number; oldest: number | null }>(
    `SELECT (SELECT count(*) FROM (SELECT 1 FROM platform_outbox WHERE refused IS NULL LIMIT ${COUNT_MAX}) AS w) AS waiting,
            (SELECT count(*) FROM (SELECT 1 FROM platform_outbox WHERE refused IS NOT NULL LIMIT ${COUNT_MAX}) AS r) AS refused,
            (SELECT extract(epoch FROM now() - created_at) FROM platform_outbox WHERE refused IS NULL ORDER BY id LIMIT 1) AS oldest`,
  );
  return { waiting: row?.waiting ?? 0, refused: row?.refused ?? 0, oldestSeconds: Math.max(0, row?.oldest ?? 0) };
}

/** Two relays of one set of tables share the name; another schema of the same database is another outbox. */
const RELAY_LOCK = `hashtextextended('headrace.outbox ' || current_schema(), 0)`;

/** The lock of the one active relay lives as long as the session. */
export async function takeRelayLock(runner: Runner): Promise<boolean> {
  const [row] = await runner.query<{ mine: boolean }>(`SELECT pg_try_advisory_lock(${RELAY_LOCK}) AS mine`);
  return row?.mine === true;
}
