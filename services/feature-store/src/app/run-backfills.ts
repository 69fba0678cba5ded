import { Inject, Injectable } from '@nestjs/common';
import { sleep } from '@headrace/base/clock';
import { AppError, messageOf } from '@headrace/base/errors';
import { newId } from '@headrace/base/ids';
import { Log } from '@headrace/platform/log';
import type { Background } from '@headrace/platform/service';
import { LIMITS, type Limits } from '../config.js';
import type { Backfill } from '../domain/backfill.js';
import type { IncomingRow } from '../domain/feature-row.js';
import { columnsFault, readTableRow } from '../domain/table-row.js';
import { requestInvalid } from '../errors.js';
import { BackfillStore } from '../io/backfill-store.js';
import { openTableFile, type Table } from '../io/table-files.js';
import { openTableQuery } from '../io/table-query.js';
import { IngestRows } from './ingest-rows.js';
import { QuarantineRows } from './quarantine-rows.js';

/** How often a job of another process, or of one that died, is looked for. */
const POLL_MS = 2_000;
/** Who does not renew it for this long is dead. A batch takes a fraction of it. */
const LEASE_MS = 20_000;
const BATCH_ROWS = 1_000;

/**
 * Works on backfills, one at a time in each process, through the same pipeline as every row. The position is written after its rows: a crash in
 * between stores a batch twice, which changes nothing, because all rows of a job have one arrival.
 */
@Injectable()
export class RunBackfills implements Background {
  readonly name = 'backfills';
  readonly #owner = newId();
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(
    private readonly backfills: BackfillStore,
    private readonly rows: IngestRows,
    private readonly quarantine: QuarantineRows,
    private readonly log: Log,
    @Inject(LIMITS) private readonly limits: Limits,
  ) {}

  start(): Promise<void> {
    this.#running = this.#follow();
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new AppError('CANCELLED', 'the service is stopping'));
    this.nudge();
    await this.#running;
  }

  nudge(): void {
    this.#wake.abort();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      let worked = false;
      try {
        const job = await this.backfills.claim(this.#owner, LEASE_MS);
        if (job) await this.#run(job);
        worked = job !== undefined;
      } catch (error) {
        if (!signal.aborted) this.log.warn('backfills wait', { error: messageOf(error), againInMs: POLL_MS });
      }
      if (!worked && !signal.aborted) await sleep(POLL_MS, this.#wake.signal).catch(() => undefined); // woken, not failed
    }
  }

  async #run(job: Backfill): Promise<void> {
    const facts = { backfill: job.id, project: job.project, view: job.view };
    try {
      const ended = await this.#copy(job);
      if (!ended) return this.log.info('backfill left', { ...facts, why: 'cancelled, or taken over' });
      await this.backfills.finish(job.id, this.#owner, 'succeeded', '');
      this.log.info('backfill succeeded', facts);
    } catch (error) {
      // What is away comes back, and a stop is no failure: the job goes on later from its position.
      const isPassing = error instanceof AppError && (error.code === 'DEPENDENCY_UNAVAILABLE' || error.code === 'CANCELLED');
      if (isPassing) {
        await this.backfills.release(job.id, this.#owner);
        throw error;
      }
      await this.backfills.finish(job.id, this.#owner, 'failed', messageOf(error));
      this.log.warn('backfill failed', { ...facts, error: messageOf(error) });
    }
  }

  /** @returns false when the job is no longer ours. */
  async #copy(job: Backfill): Promise<boolean> {
    const { signal } = this.#stopping;
    const table = await this.#open(job);
    try {
      const view = await this.rows.view(job.project, job.view);
      // A query without rows has no columns to judge.
      const fault = table.columns.length === 0 ? undefined : columnsFault(view, job.eventTimeColumn, table.columns);
      if (fault) throw requestInvalid(fault);
      if (job.rowsTotal === 0) await this.backfills.setTotal(job.id, await table.count(signal));
      const size =
        job.rowsPerSecond > 0
          ? Math.min(BATCH_ROWS, job.rowsPerSecond, this.limits.eventRowsMax)
          : Math.min(BATCH_ROWS, this.limits.eventRowsMax);
      let done = job.position.rows;
      for await (const { rows, position } of table.batches(job.position, size)) {
        signal.throwIfAborted();
        const startedAt = performance.now();
        const refused = await this.#store(
          job,
          rows.map((row) => readTableRow(view, job.eventTimeColumn, row)),
          done,
        );
        if (!(await this.backfills.progress(job.id, this.#owner, position, refused, LEASE_MS))) return false;
        done = position.rows;
        if (job.rowsPerSecond > 0) {
          const restMs = (rows.length / job.rowsPerSecond) * 1000 - (performance.now() - startedAt);
          if (restMs > 0) await sleep(restMs, signal);
        }
      }
      return true;
    } finally {
      await table.close();
    }
  }

  #open({ source, eventTimeColumn }: Backfill): Promise<Table> {
    if (source.kind === 'file') return openTableFile(this.limits.backfillFolder, source.path);
    const url = this.limits.backfillSources.get(source.source);
    if (url === undefined) throw requestInvalid(`source ${source.source} is not configured any more`);
    return openTableQuery(url, source.query, eventTimeColumn, this.log);
  }

  /** @returns how many rows were refused. */
  async #store({ id, project, view, to, requestedAtMs }: Backfill, rows: readonly IncomingRow[], firstPosition: number): Promise<number> {
    const received = { project, view, rows, arrivedUs: requestedAtMs * 1000 };
    const [outcome] = await this.rows.ingest([received], to);
    if (outcome!.kind === 'refused') throw outcome!.error;
    const { rejected } = outcome!;
    await this.quarantine.keep([{ ...received, rejected, origin: `backfill/${id}`, firstPosition }]);
    return rejected.length;
  }
}
