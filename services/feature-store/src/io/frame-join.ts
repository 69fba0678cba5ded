import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { FramePlan } from '../domain/frame-plan.js';
import { encodeFrame } from './frame-copy.js';
import { readCopy } from './copy-reader.js';
import type { Frame } from './frame-reader.js';
import { ParquetTable } from './parquet-table.js';
import { SnapshotFiles, type Snapshot } from './snapshot-files.js';

/** Longest join; the sort of the frame is one statement with the probes. */
const JOIN_TIMEOUT_MS = 3_600_000;
/** Of the sort of the frame in Postgres; what is beyond it goes to Postgres' temporary files. */
const SORT_MEMORY = '128MB';

export interface JoinSteps {
  read(rows: number): void;
  written(rows: number): void;
}

/** Frame up by binary COPY, joined inside Postgres, the result down by binary COPY straight into Parquet. */
@Injectable()
export class FrameJoin {
  constructor(
    private readonly postgres: Postgres,
    private readonly files: SnapshotFiles,
  ) {}

  /** All features from one snapshot of the database. @throws the signal's reason when it aborts. */
  async run(frame: Frame, plan: FramePlan, steps: JoinSteps, signal: AbortSignal): Promise<Snapshot> {
    const snapshot = await this.files.create((file) =>
      this.postgres.transaction(
        async (tx) => {
          signal.throwIfAborted();
          const [backend] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
          const cancel = (): void => void this.postgres.query('SELECT pg_cancel_backend($1)', [backend!.pid]).catch(() => undefined); // over already
          signal.addEventListener('abort', cancel, { once: true });
          try {
            await tx.execute(plan.create);
            await tx.copyFrom(
              plan.copy,
              until(
                signal,
                encodeFrame(plan, frame.columns, frame.batches(), (rows) => steps.read(rows)),
              ),
            );
            await tx.execute('ANALYZE frame');
            await tx.execute(`SET LOCAL work_mem = '${SORT_MEMORY}'`);
            await tx.execute('SET LOCAL jit = off');
            const table = new ParquetTable(file, plan.columns);
            await readCopy(tx.copyTo(`COPY (${plan.sql}) TO STDOUT (FORMAT binary)`), table, () => steps.written(table.rows));
            signal.throwIfAborted();
            return await table.finish();
          } catch (error) {
            signal.throwIfAborted();
            throw error;
          } finally {
            signal.removeEventListener('abort', cancel);
          }
        },
        { isolation: 'repeatable read', statementTimeoutMs: JOIN_TIMEOUT_MS },
      ),
    );
    return snapshot!;
  }
}

async function* until(signal: AbortSignal, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    yield chunk;
  }
}
