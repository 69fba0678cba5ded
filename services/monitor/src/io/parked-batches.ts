import type { ReceivedRecord } from '@headrace/platform/kafka/subscription';
import type { Tx } from '@headrace/platform/postgres/postgres';

/** A log record that waits for the description of its version. */
export interface ParkedRow extends ReceivedRecord {
  readonly id: number;
  readonly project: string;
  readonly eventId: string;
  readonly model: string;
  readonly version: number;
}

export async function park(tx: Tx, row: Omit<ParkedRow, 'id'>, nowMs: number): Promise<void> {
  await tx.execute(
    `INSERT INTO parked_batch (project, event_id, model, version, topic, partition, record_offset, key, headers, value, timestamp_ms, parked_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (project, event_id) DO NOTHING`,
    [
      row.project,
      row.eventId,
      row.model,
      row.version,
      row.topic,
      row.partition,
      row.offset,
      row.key,
      JSON.stringify(row.rawHeaders),
      Buffer.from(row.rawValue),
      Math.round(row.timestampMs),
      nowMs,
    ],
  );
}

/** Oldest first, at most `limit`. */
export async function readParked(tx: Tx, limit: number): Promise<ParkedRow[]> {
  const rows = await tx.query<StoredBatch>('SELECT * FROM parked_batch ORDER BY id LIMIT $1', [limit]);
  return rows.map((row) => ({
    id: row.id,
    project: row.project,
    eventId: row.event_id,
    model: row.model,
    version: row.version,
    topic: row.topic,
    partition: row.partition,
    offset: row.record_offset,
    key: row.key,
    rawHeaders: row.headers,
    rawValue: row.value,
    timestampMs: row.timestamp_ms,
  }));
}

export function unpark(tx: Tx, ids: readonly number[]): Promise<number> {
  return tx.execute('DELETE FROM parked_batch WHERE id = ANY ($1::bigint[])', [ids]);
}

export async function countParked(tx: Tx): Promise<number> {
  return (await tx.query<{ n: number }>('SELECT count(*) AS n FROM parked_batch'))[0]!.n;
}

interface StoredBatch {
  readonly id: number;
  readonly project: string;
  readonly event_id: string;
  readonly model: string;
  readonly version: number;
  readonly topic: string;
  readonly partition: number;
  readonly record_offset: string;
  readonly key: string;
  readonly headers: Record<string, string>;
  readonly value: Buffer;
  readonly timestamp_ms: number;
}
