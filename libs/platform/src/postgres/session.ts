import { messageOf } from '@headrace/base/errors';
import type pg from 'pg';
import { from as copyFromStdin, to as copyToStdout } from 'pg-copy-streams';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { leavesConnectionUsable } from './errors.js';

export type CopySource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** What can be asked inside a transaction. */
export interface Tx {
  query<R extends object = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<R[]>;
  /** @returns the number of rows that the statement changed. */
  execute(sql: string, params?: readonly unknown[]): Promise<number>;
  /** `COPY ... FROM STDIN`; a source that throws aborts the copy. @returns the number of rows that Postgres counted. */
  copyFrom(copySql: string, chunks: CopySource): Promise<number>;
  /** `COPY ... TO STDOUT`, as fast as it is read. One that is not read to its end costs the connection. */
  copyTo(copySql: string): AsyncIterable<Buffer>;
}

export interface TransactionOptions {
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable';
  readonly readOnly?: boolean;
  /** For the statements of this transaction; unset = the pool's. */
  readonly statementTimeoutMs?: number;
}

/** The client gives up this long after the server should have: only a dead connection gets there. */
export const DEAD_CONNECTION_GRACE_MS = 5_000;

/** Read ahead of the consumer of a copy. */
const COPY_BUFFER_BYTES = 256 * 1024;

/** One borrowed connection. `broken` is set as soon as it must not go back to the pool. */
export class Session implements Tx {
  broken: Error | undefined;
  readonly #client: pg.ClientBase;
  #clientTimeoutMs: number | undefined;

  constructor(client: pg.ClientBase) {
    this.#client = client;
  }

  async query<R extends object = Record<string, unknown>>(sql: string, params: readonly unknown[] = []): Promise<R[]> {
    return (await this.#run(sql, params)).rows as R[];
  }

  async execute(sql: string, params: readonly unknown[] = []): Promise<number> {
    return (await this.#run(sql, params)).rowCount ?? 0;
  }

  async copyFrom(copySql: string, chunks: CopySource): Promise<number> {
    const copy = this.#client.query(copyFromStdin(copySql));
    // The pipeline destroys the copy stream when the source throws: Postgres gets CopyFail, never half of the rows. A lost
    // socket shows in the statement that follows (COMMIT or ROLLBACK).
    await pipeline(Readable.from(chunks, { objectMode: false }), copy);
    return copy.rowCount;
  }

  async *copyTo(copySql: string): AsyncGenerator<Buffer> {
    const copy = this.#client.query(copyToStdout(copySql, { highWaterMark: COPY_BUFFER_BYTES }));
    let ended = false;
    try {
      for await (const chunk of copy as AsyncIterable<Buffer>) yield chunk;
      ended = true;
    } catch (error) {
      // Postgres refused or cancelled the statement: the protocol is in step. Anything else broke the connection.
      ended = leavesConnectionUsable(error);
      throw error;
    } finally {
      if (!ended) this.broken ??= new Error('a copy out of Postgres was left before its end');
    }
  }

  async begin(options: TransactionOptions): Promise<void> {
    const mode = [options.isolation ? `ISOLATION LEVEL ${options.isolation.toUpperCase()}` : '', options.readOnly ? 'READ ONLY' : ''].join(
      ' ',
    );
    await this.#run(`BEGIN ${mode}`, []);
    if (options.statementTimeoutMs === undefined) return;
    const timeoutMs = Math.ceil(options.statementTimeoutMs);
    await this.#run(`SET LOCAL statement_timeout = ${timeoutMs}`, []);
    this.#clientTimeoutMs = timeoutMs + DEAD_CONNECTION_GRACE_MS;
  }

  async commit(): Promise<void> {
    await this.#run('COMMIT', []);
  }

  /** Never throws: a connection that cannot roll back is thrown away, and Postgres rolls back by itself. */
  async rollback(): Promise<void> {
    if (this.broken) return;
    try {
      await this.#run('ROLLBACK', []);
    } catch (error) {
      this.broken = asError(error);
    }
  }

  async #run(sql: string, params: readonly unknown[]): Promise<pg.QueryResult> {
    try {
      const timeout = this.#clientTimeoutMs === undefined ? {} : { query_timeout: this.#clientTimeoutMs };
      return await this.#client.query({ text: sql, values: [...params], ...timeout } as pg.QueryConfig);
    } catch (error) {
      if (!leavesConnectionUsable(error)) this.broken = asError(error);
      throw error;
    }
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(messageOf(error)));
