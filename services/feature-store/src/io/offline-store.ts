import { Injectable } from '@nestjs/common';
import type { FeatureValue } from '@headrace/codec/feature-blob';
import type { Tx } from '@headrace/platform/postgres/postgres';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { quoteName, rowTable, SQL_TYPES, keyColumns } from '../domain/identifier.js';
import { partitionOf } from '../domain/partition.js';
import type { MergedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { encodeCopy } from './copy-rows.js';
import { holdErasures } from './erasure-store.js';
import { addQuality } from './quality-store.js';
import { copyColumns, ensurePartition } from './row-tables.js';

export interface ViewRows {
  readonly view: View;
  /** Without duplicates: see `mergeDuplicates`. */
  readonly rows: readonly MergedRow[];
}

export interface Appended {
  /** Rows that were not there before. */
  readonly inserted: number;
  /** The others, when they were asked for. */
  readonly known: ReadonlySet<MergedRow>;
}

const NONE: ReadonlySet<MergedRow> = new Set();

/** Spreads the row counts of one view, so that concurrent writers rarely share a counter. */
const COUNT_SHARDS = 16;

/** Rows of one snapshot of a walk through all entities. */
const SNAPSHOT_ROWS = 100_000;

/** Each failed straight copy leaves its rows behind as garbage for Postgres, so it must be rare. */
const BATCHES_STAGED_AFTER_DUPLICATE = 50;

/** All rows ever published, bitemporal. */
@Injectable()
export class OfflineStore {
  /** `table/partition` known to exist. */
  readonly #partitions = new Set<string>();
  /** By view: the next batches that go by the staging table, because repeated rows seldom come alone. */
  readonly #batchesToStage = new Map<number, number>();

  constructor(private readonly postgres: Postgres) {}

  /**
   * All groups in one transaction. Repeating it changes nothing.
   * @param epoch of the erasures that the rows were compared with. @returns what was new, by view id; undefined when there are newer ones.
   */
  async append(
    groups: readonly ViewRows[],
    { tellKnown, epoch }: { readonly tellKnown: boolean; readonly epoch: number },
  ): Promise<Map<number, Appended> | undefined> {
    // One order for all writers, of views here and of rows in the statement: no deadlocks.
    const ordered = groups.filter((g) => g.rows.length > 0).sort((a, b) => a.view.id - b.view.id);
    for (const group of ordered) await this.#ensurePartitions(group);
    try {
      return await this.#append(ordered, { tellKnown, epoch });
    } catch (error) {
      if (!isWithoutPartition(error)) throw error;
      // Retention took one since: a late row makes it anew, and the next turn of retention sees to it.
      this.#partitions.clear();
      for (const group of ordered) await this.#ensurePartitions(group);
      return this.#append(ordered, { tellKnown, epoch });
    }
  }

  #append(
    ordered: readonly ViewRows[],
    { tellKnown, epoch }: { readonly tellKnown: boolean; readonly epoch: number },
  ): Promise<Map<number, Appended> | undefined> {
    return this.postgres.transaction(async (tx) => {
      if (!(await holdErasures(tx, epoch))) return undefined;
      const appended = new Map<number, Appended>();
      for (const group of ordered) {
        const { id } = group.view;
        const straight = await this.#copyStraight(tx, group);
        const hasQuality = group.view.spec.quality !== undefined;
        const outcome = straight === undefined ? await appendView(tx, group, tellKnown || hasQuality) : { inserted: straight, known: NONE };
        if (outcome.inserted > 0) await addToCount(tx, id, outcome.inserted);
        if (outcome.inserted > 0 && hasQuality)
          await addQuality(
            tx,
            group.view,
            group.rows.filter((row) => !outcome.known.has(row)),
          );
        appended.set(id, outcome);
      }
      return appended;
    });
  }

  /**
   * Mostly all rows are new: then they need no staging table, which is half of the work of Postgres.
   * @returns the number of rows, or undefined when one of them was there already and nothing is done.
   */
  async #copyStraight(tx: Tx, { view, rows }: ViewRows): Promise<number | undefined> {
    const batchesToStage = this.#batchesToStage.get(view.id) ?? 0;
    if (batchesToStage > 0) {
      this.#batchesToStage.set(view.id, batchesToStage - 1);
      return undefined;
    }
    await tx.execute('SAVEPOINT straight');
    try {
      return await tx.copyFrom(straightSql(view), encodeCopy(view, rows));
    } catch (error) {
      // A deadlock is possible too: rows that two writers have in common come in no common order here. The transaction is tried again.
      if (isDuplicate(error) || isDeadlock(error)) this.#batchesToStage.set(view.id, BATCHES_STAGED_AFTER_DUPLICATE);
      if (!isDuplicate(error)) throw error;
      await tx.execute('ROLLBACK TO SAVEPOINT straight');
      return undefined;
    }
  }

  /** The newest row of each entity behind that one, ordered by entity, in batches. */
  async *newestRows(view: View, batchRows: number, afterEntity = ''): AsyncIterable<MergedRow[]> {
    // Snapshot by snapshot, so that no row comes out of one that is older than some seconds: it may have been erased since.
    for (let after = afterEntity, rows = SNAPSHOT_ROWS; rows === SNAPSHOT_ROWS;) {
      rows = 0;
      for await (const batch of this.postgres.cursor<StoredRow>(newestRowsSql(view), [after], batchRows)) {
        after = batch.at(-1)!.entity;
        rows += batch.length;
        yield batch.map((row) => toMergedRow(view, row));
      }
    }
  }

  async #ensurePartitions({ view, rows }: ViewRows): Promise<void> {
    let lastTo = -Infinity;
    let lastFrom = Infinity;
    for (const { eventTimeMs } of rows) {
      if (eventTimeMs >= lastFrom && eventTimeMs < lastTo) continue;
      const partition = partitionOf(eventTimeMs, view.partitionMonths);
      [lastFrom, lastTo] = [partition.fromMs, partition.toMs];
      const key = `${view.id}/${partition.suffix}`;
      if (this.#partitions.has(key)) continue;
      await this.postgres.transaction((tx) => ensurePartition(tx, view.id, partition));
      this.#partitions.add(key);
    }
  }
}

async function appendView(tx: Tx, { view, rows }: ViewRows, tellKnown: boolean): Promise<Appended> {
  const sql = appendSql(view);
  await tx.execute(sql.stage);
  await tx.copyFrom(sql.copy, encodeCopy(view, rows));
  const fresh = tellKnown ? await tx.query<FreshRow>(`${sql.insert}\n${FRESH}`) : undefined;
  const inserted = fresh?.length ?? (await tx.execute(sql.insert));
  if (inserted < rows.length) await tx.execute(sql.widen);
  return { inserted, known: fresh ? knownAmong(rows, fresh) : NONE };
}

interface FreshRow {
  readonly entity: string;
  readonly event_ms: number;
  readonly content: number;
}

function knownAmong(rows: readonly MergedRow[], fresh: readonly FreshRow[]): Set<MergedRow> {
  const names = new Set(fresh.map((row) => `${row.event_ms}/${row.content}/${row.entity}`));
  return new Set(rows.filter((row) => !names.has(`${row.eventTimeMs}/${row.contentHash}/${row.entityKey}`)));
}

async function addToCount(tx: Tx, viewId: number, rows: number): Promise<void> {
  await tx.execute(
    `INSERT INTO view_row_counts (view_id, shard, rows) VALUES ($1, pg_backend_pid() % ${COUNT_SHARDS}, $2)
     ON CONFLICT (view_id, shard) DO UPDATE SET rows = view_row_counts.rows + excluded.rows`,
    [viewId, rows],
  );
}

const isDuplicate = (error: unknown): boolean => codeOf(error) === '23505';
/** A check violation; the table has no other checks. */
const isWithoutPartition = (error: unknown): boolean => codeOf(error) === '23514';
const isDeadlock = (error: unknown): boolean => codeOf(error) === '40P01';
const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

export function straightSql(view: View): string {
  return `COPY ${rowTable(view.id)} (${copyColumns(view.joinKeys, view.spec.features).join(', ')}) FROM STDIN (FORMAT binary)`;
}

/** The temporary table lives as long as the connection; its name carries the version, because its columns are those of the version. */
export function appendSql(view: View): { stage: string; copy: string; insert: string; widen: string } {
  const { features } = view.spec;
  const table = rowTable(view.id);
  const stage = `pg_temp.stage_${view.id}_v${view.version}`;
  const columns = copyColumns(view.joinKeys, features).join(', ');
  const keys = keyColumns(view.joinKeys).map((column) => `${column} text, `);
  const typed = features.map((f) => `, ${quoteName(f.name)} ${SQL_TYPES[f.type]}`).join('');
  return {
    stage: `CREATE TEMPORARY TABLE IF NOT EXISTS ${stage} (_entity text COLLATE "C", ${keys.join('')}_event_time timestamptz, _content bigint, _first_ingest timestamptz, _last_ingest timestamptz${typed}) ON COMMIT DELETE ROWS`,
    copy: `COPY ${stage} (${columns}) FROM STDIN (FORMAT binary)`,
    insert: [
      `INSERT INTO ${table} (${columns})`,
      `SELECT ${columns} FROM ${stage} ORDER BY _entity, _event_time DESC, _content`,
      'ON CONFLICT (_entity, _event_time, _content) DO NOTHING',
    ].join('\n'),
    // Apart from the insert, so that the number of inserted rows is known (xmax is not to be had from a partitioned table).
    widen: [
      `UPDATE ${table} t`,
      'SET _first_ingest = least(t._first_ingest, s._first_ingest), _last_ingest = greatest(t._last_ingest, s._last_ingest)',
      `FROM ${stage} s`,
      'WHERE t._entity = s._entity AND t._event_time = s._event_time AND t._content = s._content',
      '  AND (s._first_ingest < t._first_ingest OR s._last_ingest > t._last_ingest)',
    ].join('\n'),
  };
}

/** Ordered as the online store orders; microseconds as whole numbers, because a Date has only milliseconds. */
export function newestRowsSql(view: View): string {
  return [
    `SELECT DISTINCT ON (_entity) ${storedColumns(view)}`,
    `FROM ${rowTable(view.id)}`,
    'WHERE _entity > $1',
    'ORDER BY _entity, _event_time DESC, _last_ingest DESC, _content DESC',
    `LIMIT ${SNAPSHOT_ROWS}`,
  ].join('\n');
}

/** What `toMergedRow` reads. */
export function storedColumns(view: View): string {
  const columns = view.spec.features.map((f, i) =>
    f.type === 'timestamp' ? `${micros(quoteName(f.name))} / 1000 AS c${i}` : `${quoteName(f.name)} AS c${i}`,
  );
  return [
    `_entity AS entity, ${micros('_event_time')} / 1000 AS event_ms, _content AS content,`,
    `  ${micros('_first_ingest')} AS first_us, ${micros('_last_ingest')} AS last_us,`,
    `  ${columns.join(', ')}`,
  ].join('\n');
}

function micros(column: string): string {
  return `(extract(epoch FROM ${column}) * 1000000)::bigint`;
}

const FRESH = `RETURNING _entity AS entity, ${micros('_event_time')} / 1000 AS event_ms, _content AS content`;

export interface StoredRow {
  readonly entity: string;
  readonly event_ms: number;
  readonly content: number;
  readonly first_us: number;
  readonly last_us: number;
  readonly [column: string]: FeatureValue;
}

export function toMergedRow(view: View, row: StoredRow): MergedRow {
  return {
    entityKey: row.entity,
    keys: [],
    eventTimeMs: row.event_ms,
    values: view.spec.features.map((_, i) => asStored(row[`c${i}`] ?? null)),
    contentHash: row.content,
    firstIngestUs: row.first_us,
    lastIngestUs: row.last_us,
  };
}

/** Postgres writes the shortest text of a 32-bit float, which JavaScript reads as a 64-bit one: rounded back, it is the same bits. */
function asStored(value: FeatureValue): FeatureValue {
  return typeof value === 'object' && value !== null ? value.map(Math.fround) : value;
}
