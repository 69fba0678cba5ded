import type { Tx } from '@headrace/platform/postgres/postgres';
import type { Partition } from '../domain/partition.js';
import { keyColumns, quoteName, ROW_COLUMNS, rowTable, SQL_TYPES } from '../domain/identifier.js';
import type { Field } from '../domain/view.js';

/** One table for each view: typed columns, partitioned by event time, append-only but for the arrival times of repeated rows. */
export async function createRowTable(tx: Tx, viewId: number, joinKeys: readonly string[], fields: readonly Field[]): Promise<void> {
  for (const sql of createRowTableSql(viewId, joinKeys, fields)) await tx.execute(sql);
}

export async function addColumns(tx: Tx, viewId: number, fields: readonly Field[]): Promise<void> {
  if (fields.length === 0) return;
  await tx.execute(`ALTER TABLE ${rowTable(viewId)} ${fields.map((f) => `ADD COLUMN ${columnSql(f)}`).join(', ')}`);
}

/** An index may have 32 columns, its key included; texts and lists are left out, because an index entry may have 2.7 kB. */
const INDEX_COLUMNS_MAX = 32;

export function createRowTableSql(viewId: number, joinKeys: readonly string[], fields: readonly Field[]): string[] {
  const table = rowTable(viewId);
  const keys = keyColumns(joinKeys);
  const covered = [
    '_first_ingest',
    '_last_ingest',
    ...keys,
    ...fields.filter((f) => f.type !== 'string' && f.type !== 'embedding').map((f) => quoteName(f.name)),
  ].slice(0, INDEX_COLUMNS_MAX - 3);
  return [
    [
      `CREATE TABLE ${table} (`,
      '  _entity text COLLATE "C" NOT NULL,',
      ...keys.map((column) => `  ${column} text COLLATE "C" NOT NULL,`),
      '  _event_time timestamptz NOT NULL,',
      '  _content bigint NOT NULL,',
      '  _first_ingest timestamptz NOT NULL,',
      '  _last_ingest timestamptz NOT NULL,',
      fields.map((f) => `  ${columnSql(f)}`).join(',\n'),
      ') PARTITION BY RANGE (_event_time)',
    ].join('\n'),
    // One index is both the natural key and the covering index of the point-in-time join.
    `CREATE UNIQUE INDEX ${table}_key ON ${table} (_entity, _event_time DESC, _content) INCLUDE (${covered.join(', ')})`,
  ];
}

/**
 * Made apart and then attached: unlike CREATE ... PARTITION OF this takes no lock that would wait for readers of the table.
 * Safe to repeat and to race.
 */
export async function ensurePartition(tx: Tx, viewId: number, partition: Partition): Promise<void> {
  const table = rowTable(viewId);
  const name = `${table}_p${partition.suffix}`;
  await tx.query('SELECT pg_advisory_xact_lock(hashtext($1))', [`headrace partitions of ${table}`]);
  const [found] = await tx.query<{ found: boolean }>('SELECT to_regclass($1) IS NOT NULL AS found', [name]);
  if (found!.found) return;
  const bound = (ms: number): string => `'${new Date(ms).toISOString()}'`;
  await tx.execute(`CREATE TABLE ${name} (LIKE ${table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)`);
  await tx.execute(
    `ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM (${bound(partition.fromMs)}) TO (${bound(partition.toMs)})`,
  );
}

/** Column list of a view's rows in the order in which they are copied. */
export function copyColumns(joinKeys: readonly string[], fields: readonly Field[]): string[] {
  const [entity, ...times] = ROW_COLUMNS;
  return [entity, ...keyColumns(joinKeys), ...times, ...fields.map((f) => quoteName(f.name))];
}

function columnSql(field: Field): string {
  return `${quoteName(field.name)} ${SQL_TYPES[field.type]}`;
}
