import { sleep } from '@headrace/base/clock';
import { AppError } from '@headrace/base/errors';
import pg from 'pg';
import type { Log } from '../log.js';
import { isTransient, toPostgresError } from './errors.js';
import { DEAD_CONNECTION_GRACE_MS, Session, type CopySource, type TransactionOptions, type Tx } from './session.js';
import { typeParsers } from './types.js';

export type { CopySource, TransactionOptions, Tx } from './session.js';

export interface PostgresOptions {
  readonly url: string;
  /** Seen in pg_stat_activity. */
  readonly name: string;
  readonly poolMax?: number;
  /** Longest wait for a free or a new connection. */
  readonly connectTimeoutMs?: number;
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
  /** A transaction whose owner sleeps longer than this is ended by Postgres, which frees its locks. */
  readonly idleInTransactionTimeoutMs?: number;
}

/** Tries of one transaction that loses against another (40001, 40P01), the first included. */
const TRANSACTION_TRIES = 5;

/**
 * Pool of connections. Every wait is bounded, a connection that broke is thrown away, and a database that is away is
 * AppError DEPENDENCY_UNAVAILABLE, never an exit. Other failures keep Postgres' own error with its SQLSTATE as `code`.
 */
export class Postgres implements Tx {
  readonly #settings: pg.ClientConfig;
  readonly #pool: pg.Pool;
  readonly #log: Pick<Log, 'warn'>;
  #closing: Promise<void> | undefined;

  constructor(options: PostgresOptions, log: Pick<Log, 'warn'>) {
    this.#log = log;
    this.#settings = clientSettings(options);
    this.#pool = new pg.Pool({ ...this.#settings, max: options.poolMax ?? 10, idleTimeoutMillis: 30_000 });
    // Without these two a restart of Postgres ends the process: idle connections emit on the pool, busy ones on the client.
    this.#pool.on('error', (error) => log.warn('idle connection to Postgres lost', { error }));
    this.#pool.on('connect', (client) => client.on('error', (error: Error) => log.warn('connection to Postgres lost', { error })));
  }

  query<R extends object = Record<string, unknown>>(sql: string, params: readonly unknown[] = []): Promise<R[]> {
    return this.#borrow((session) => session.query<R>(sql, params));
  }

  execute(sql: string, params: readonly unknown[] = []): Promise<number> {
    return this.#borrow((session) => session.execute(sql, params));
  }

  /** All rows or none. */
  copyFrom(copySql: string, chunks: CopySource): Promise<number> {
    return this.#borrow((session) => inTransaction(session, (tx) => tx.copyFrom(copySql, chunks), {}));
  }

  async *copyTo(copySql: string): AsyncGenerator<Buffer> {
    const client = await this.#connect();
    const session = new Session(client);
    try {
      yield* session.copyTo(copySql);
    } catch (error) {
      throw toPostgresError(error);
    } finally {
      client.release(session.broken);
    }
  }

  /**
   * Commits when `work` resolves, rolls back when it throws. A serialization failure or a deadlock runs `work` again, at
   * most five times in all, so `work` must do nothing but talk to this transaction.
   */
  async transaction<T>(work: (tx: Tx) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#borrow((session) => inTransaction(session, work, options));
      } catch (error) {
        if (attempt >= TRANSACTION_TRIES || !isTransient(error)) throw error;
        await sleep(Math.random() * 10 * 2 ** attempt);
      }
    }
  }

  /** Rows in batches by a server-side cursor, all from one snapshot; memory stays at one batch. Leaving the loop early is fine. */
  async *cursor<R extends object = Record<string, unknown>>(
    sql: string,
    params: readonly unknown[],
    batchSize: number,
    options: TransactionOptions = {},
  ): AsyncGenerator<R[]> {
    const client = await this.#connect();
    const session = new Session(client);
    try {
      await session.begin({ isolation: 'repeatable read', readOnly: true, ...options });
      await session.execute(`DECLARE batches NO SCROLL CURSOR FOR ${sql}`, params);
      for (;;) {
        const rows = await session.query<R>(`FETCH ${Math.trunc(batchSize)} FROM batches`);
        if (rows.length > 0) yield rows;
        if (rows.length < batchSize) break;
      }
    } catch (error) {
      throw toPostgresError(error);
    } finally {
      await session.rollback(); // it only read
      client.release(session.broken);
    }
  }

  /** For health: one round trip. */
  async check(): Promise<void> {
    await this.query('SELECT 1');
  }

  /** A connection of its own beside the pool, for LISTEN and session locks; the caller ends it. */
  async dedicated(): Promise<pg.Client> {
    const client = new pg.Client(this.#settings);
    client.on('error', (error: Error) => this.#log.warn('dedicated connection to Postgres lost', { error }));
    try {
      await client.connect();
      return client;
    } catch (error) {
      throw toPostgresError(error, 'connect');
    }
  }

  /** Waits for what runs, then closes. Safe to call twice. */
  close(): Promise<void> {
    return (this.#closing ??= this.#pool.end());
  }

  async #borrow<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    const session = new Session(client);
    try {
      return await work(session);
    } catch (error) {
      throw toPostgresError(error);
    } finally {
      client.release(session.broken);
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    if (this.#closing)
      throw new AppError('DEPENDENCY_UNAVAILABLE', 'Postgres: the pool is closed; this process is shutting down', {
        details: { dependency: 'postgres' },
      });
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw toPostgresError(error, 'connect');
    }
  }
}

async function inTransaction<T>(session: Session, work: (tx: Tx) => Promise<T>, options: TransactionOptions): Promise<T> {
  try {
    await session.begin(options);
    const result = await work(session);
    await session.commit();
    return result;
  } catch (error) {
    await session.rollback();
    throw error;
  }
}

/** All of these are off by default in Postgres or pg. */
function clientSettings(options: PostgresOptions): pg.ClientConfig {
  const statementTimeoutMs = options.statementTimeoutMs ?? 30_000;
  return {
    connectionString: options.url,
    application_name: options.name,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + DEAD_CONNECTION_GRACE_MS,
    lock_timeout: options.lockTimeoutMs ?? 10_000,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs ?? 60_000,
    keepAlive: true,
    types: typeParsers,
  };
}
