import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { rowTable } from '../domain/identifier.js';
import { partitionNamed } from '../domain/retention.js';
import type { Partition } from '../domain/partition.js';
import type { View } from '../domain/view.js';

/** Detaching wants the table for itself for a moment; whoever reads or writes it waits behind for as long at most. */
const LOCK_TIMEOUT_MS = 200;
const RETIRED = '_retired';

/** History that is past its retention. */
@Injectable()
export class RetentionStore {
  constructor(private readonly postgres: Postgres) {}

  /** Oldest first. */
  async partitions(view: View): Promise<Partition[]> {
    const table = rowTable(view.id);
    const rows = await this.postgres.query<{ name: string }>(
      'SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = $1::regclass ORDER BY 1',
      [table],
    );
    return rows.map(({ name }) => partitionNamed(name.slice(`${table}_p`.length), view.partitionMonths));
  }

  /**
   * Takes a partition out of the table. Its rows are gone for readers; `dropRetired` gives back the space. @throws when the table is in use for longer.
   * @param onlyEmpty one that has rows stays, also those that came in the last moment.
   */
  async retire(view: View, { suffix }: Partition, { onlyEmpty }: { readonly onlyEmpty: boolean }): Promise<void> {
    const [table, name] = [rowTable(view.id), `${rowTable(view.id)}_p${suffix}`];
    await this.postgres.transaction(async (tx) => {
      await tx.execute(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
      if (onlyEmpty) {
        await tx.execute(`LOCK TABLE ${name} IN SHARE MODE`); // nobody writes until the end
        if ((await tx.query(`SELECT 1 FROM ${name} LIMIT 1`)).length > 0) return;
      }
      // Who makes partitions looks for the name, so it must be free again with the same commit.
      await tx.execute(`ALTER TABLE ${table} DETACH PARTITION ${name}`);
      await tx.execute(`ALTER TABLE ${name} RENAME TO ${name}${RETIRED}`);
    });
  }

  /** Those that a process has left behind too. @returns the rows that went. */
  async dropRetired(view: View): Promise<number> {
    const found = await this.postgres.query<{ name: string }>(
      'SELECT relname AS name FROM pg_class WHERE relname LIKE $1 AND relkind = $2',
      [`${rowTable(view.id).replaceAll('_', '\\_')}\\_p%\\${RETIRED}`, 'r'],
    );
    let dropped = 0;
    for (const { name } of found) {
      dropped += await this.postgres.transaction(async (tx) => {
        const [counted] = await tx.query<{ rows: number }>(`SELECT count(*) AS rows FROM ${name}`);
        await tx.execute(`DROP TABLE ${name}`);
        await tx.execute(LESS_ROWS, [view.id, -counted!.rows]);
        return counted!.rows;
      });
    }
    return dropped;
  }

  /** Blocks of a partition, for `removeReplaced`. */
  async blocks(view: View, { suffix }: Partition): Promise<number> {
    const [row] = await this.postgres.query<{ blocks: number }>(
      `SELECT pg_relation_size($1::regclass) / current_setting('block_size')::int AS blocks`,
      [`${rowTable(view.id)}_p${suffix}`],
    );
    return row!.blocks;
  }

  /**
   * Deletes the rows in a stretch of a partition that no join from the cut on can see: a newer row of the entity lies at or before the cut, and
   * was known by then. Rows of one instant stay together, because which of them counts depends on what was known. @returns how many.
   */
  async removeReplaced(view: View, { suffix }: Partition, fromBlock: number, toBlock: number, cutMs: number): Promise<number> {
    const table = rowTable(view.id);
    return this.postgres.transaction(async (tx) => {
      const removed = await tx.execute(
        `DELETE FROM ${table}_p${suffix} p WHERE p.ctid >= '(${fromBlock},0)'::tid AND p.ctid < '(${toBlock},0)'::tid AND EXISTS (
           SELECT 1 FROM ${table} n WHERE n._entity = p._entity AND n._event_time > p._event_time AND n._event_time <= $1 AND n._first_ingest <= $1)`,
        [new Date(cutMs)],
      );
      if (removed > 0) await tx.execute(LESS_ROWS, [view.id, -removed]);
      return removed;
    });
  }
}

const LESS_ROWS = `
INSERT INTO view_row_counts AS c (view_id, shard, rows) VALUES ($1, 0, $2)
ON CONFLICT (view_id, shard) DO UPDATE SET rows = c.rows + excluded.rows`;
