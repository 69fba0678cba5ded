import pg from 'pg';

/** One query over a new connection; the password proves that it is ours. Rejects with the reason. */
export async function probePostgres(url: string, timeoutMs = 2_000): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs, query_timeout: timeoutMs });
  client.on('error', () => undefined); // a connection that breaks also rejects the call below
  try {
    await client.connect();
    await client.query('select 1');
  } finally {
    await client.end().catch(() => undefined); // never opened: nothing to close
  }
}
