import { Inject, Injectable } from '@nestjs/common';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import { LIMITS, type Limits } from '../config.js';
import type { FramePlan } from '../domain/frame-plan.js';
import { CopyFeed } from './copy-feed.js';
import { mergeCopies } from './copy-merge.js';
import { encodeFrame } from './frame-copy.js';
import type { Frame } from './frame-reader.js';
import { ParquetTable } from './parquet-table.js';
import { inSharedSnapshot } from './shared-snapshot.js';
import { SnapshotFiles, type Snapshot } from './snapshot-files.js';

/** Longest join; the sort of the frame is one statement with the probes. */
const JOIN_TIMEOUT_MS = 3_600_000;
/** Of the sorts of the frame in Postgres, together; what is beyond it goes to Postgres' temporary files. */
const SORT_MEMORY_KB = 128 * 1024;

export interface JoinSteps {
  read(rows: number): void;
  written(rows: number): void;
}

/**
 * Frame up by binary COPY, joined inside Postgres, the result down by binary COPY straight into Parquet. The entities are divided over
 * several connections, because Postgres joins on one core for each and scans no temporary table in parallel; what they give is merged into
 * the order of one.
 */
@Injectable()
export class FrameJoin {
  constructor(
    private readonly postgres: Postgres,
    private readonly files: SnapshotFiles,
    @Inject(LIMITS) private readonly limits: Pick<Limits, 'joinConnections'>,
  ) {}

  /** All features from one snapshot of the database. @throws the signal's reason when it aborts. */
  async run(frame: Frame, plan: FramePlan, steps: JoinSteps, signal: AbortSignal): Promise<Snapshot> {
    const options = { statementTimeoutMs: JOIN_TIMEOUT_MS };
    const snapshot = await this.files.create((file) =>
      inSharedSnapshot(this.postgres, this.limits.joinConnections, options, (txs) =>
        this.#cancellable(txs, signal, async () => {
          await Promise.all(txs.map((tx) => prepareFrame(tx, plan)));
          await upload(txs, frame, plan, steps, signal);
          await Promise.all(txs.map((tx) => prepareSort(tx, txs.length)));
          const table = new ParquetTable(file, plan.columns);
          const copies = txs.map((tx) => tx.copyTo(`COPY (${plan.sql}) TO STDOUT (FORMAT binary)`));
          await mergeCopies(copies, table, () => {
            // A cancellation that came between two statements reached none.
            signal.throwIfAborted();
            steps.written(table.rows);
          });
          return await table.finish();
        }),
      ),
    );
    return snapshot!;
  }

  /** When the signal aborts, or one of the transactions fails, none of them works on. */
  async #cancellable<T>(txs: readonly Tx[], signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    const pids = await Promise.all(txs.map(async (tx) => (await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid'))[0]!.pid));
    const cancel = async (): Promise<void> =>
      void (await this.postgres.query('SELECT pg_cancel_backend(pid) FROM unnest($1::int[]) AS pid', [pids]).catch(() => undefined)); // over already
    const onAbort = (): void => void cancel();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await work();
    } catch (error) {
      await cancel();
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}

async function prepareFrame(tx: Tx, { create }: FramePlan): Promise<void> {
  // A connection whose share is done waits for the others.
  await tx.execute(`SET LOCAL idle_in_transaction_session_timeout = ${JOIN_TIMEOUT_MS}`);
  await tx.execute(create);
}

/** Rejects with the first failure, and not before all have ended. */
async function upload(txs: readonly Tx[], frame: Frame, plan: FramePlan, steps: JoinSteps, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const feeds = txs.map(() => new CopyFeed());
  const fail = (reason: unknown): void => feeds.forEach((feed) => feed.fail(reason));
  const onAbort = (): void => fail(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const copies = txs.map((tx, i) => tx.copyFrom(plan.copy, feeds[i]!));
    const sent = encodeFrame(plan, frame, feeds, (rows) => steps.read(rows));
    const reasons: unknown[] = [];
    const failed = (reason: unknown): void => {
      reasons.push(reason);
      fail(reason);
    };
    await Promise.all([sent, ...copies].map((one) => one.catch(failed)));
    if (reasons.length > 0) throw reasons[0];
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function prepareSort(tx: Tx, parts: number): Promise<void> {
  await tx.execute('ANALYZE frame');
  await tx.execute(`SET LOCAL work_mem = '${Math.floor(SORT_MEMORY_KB / parts)}kB'`);
  await tx.execute('SET LOCAL jit = off');
}
