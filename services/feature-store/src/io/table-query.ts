import type { Log } from '@headrace/platform/log';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { BackfillPosition } from '../domain/backfill.js';
import { quoteName } from '../domain/identifier.js';
import type { TableRow } from '../domain/table-row.js';
import type { Table } from './table-files.js';

/** Longest that one statement on the source may take, its count included. */
const STATEMENT_TIMEOUT_MS = 600_000;
const MICROS = '_headrace_us';

/**
 * A query on another Postgres, in the order of event time, all in read-only transactions. It goes on behind a crash at the last event time; rows
 * of that very instant come again, which changes nothing.
 */
export async function openTableQuery(url: string, query: string, eventTimeColumn: string, log: Pick<Log, 'warn'>): Promise<Table> {
  const address = new URL(url);
  if (!address.searchParams.has('options')) address.searchParams.set('options', '-c TimeZone=UTC');
  const source = new Postgres({ url: address.href, name: 'headrace-backfill', poolMax: 1, statementTimeoutMs: STATEMENT_TIMEOUT_MS }, log);
  try {
    const time = quoteName(eventTimeColumn);
    const columns = await columnsOf(source, query);
    return {
      columns,
      count: () =>
        source.transaction(
          async (tx) => (await tx.query<{ rows: number }>(`SELECT count(*) AS rows FROM (${query}\n) AS source`))[0]!.rows,
          {
            readOnly: true,
          },
        ),
      batches: async function* (from, size) {
        const sql = `SELECT source.*, (extract(epoch FROM ${time}::timestamptz) * 1000000)::bigint AS ${MICROS} FROM (${query}\n) AS source
          WHERE $1::bigint IS NULL OR ${time}::timestamptz >= 'epoch'::timestamptz + $1::bigint * interval '1 microsecond' ORDER BY ${time}::timestamptz`;
        let position: BackfillPosition = { rows: from.rows - from.tied, eventTimeUs: from.eventTimeUs, tied: 0 };
        for await (const found of source.cursor<TableRow>(sql, [from.eventTimeUs], size)) {
          const rows = found.map(({ [MICROS]: us, ...row }) => {
            const eventTimeUs = us as number | null;
            position = { rows: position.rows + 1, eventTimeUs, tied: eventTimeUs === position.eventTimeUs ? position.tied + 1 : 1 };
            return row;
          });
          yield { rows, position };
        }
      },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** Of its first row; none when it has no rows. */
async function columnsOf(source: Postgres, query: string): Promise<string[]> {
  const [row] = await source.transaction(
    (tx) =>
      tx.query<{ columns: string[] | null }>(
        `SELECT array_agg(key) AS columns FROM (SELECT json_object_keys(to_json(one)) AS key FROM (SELECT * FROM (${query}\n) AS source LIMIT 1) AS one) AS keys`,
      ),
    { readOnly: true },
  );
  return row?.columns ?? [];
}
