import { Injectable } from '@nestjs/common';
import { Postgres } from '@headrace/platform/postgres/postgres';
import type { PointInTimePlan, TrainingSetRecord } from '../domain/point-in-time-plan.js';
import { addTrainingSet } from './usage-store.js';
import { WindowHistory } from './window-history.js';

/** A row of the join as Postgres gives it. */
export type JoinedRow = Readonly<Record<string, unknown>>;

/** What is kept of the request: whose it is, and the feature service that it named. */
interface AskedTrainingSet {
  readonly project: string;
  readonly featureService?: string | undefined;
}

/** Rows of one fetch; also the row group of the file, so it bounds the memory of a build. */
const FETCH_ROWS = 20_000;
/** For one fetch, the first of which sorts the label rows. */
const FETCH_TIMEOUT_MS = 600_000;

@Injectable()
export class TrainingSetStore {
  constructor(
    private readonly postgres: Postgres,
    private readonly windows: WindowHistory,
  ) {}

  /** The joined rows as of one moment, ordered by entity and time, in batches. */
  rows({ sql, windowJoins, knowledge }: PointInTimePlan): AsyncIterable<readonly JoinedRow[]> {
    const rows = this.postgres.cursor<JoinedRow>(sql, [], FETCH_ROWS, { statementTimeoutMs: FETCH_TIMEOUT_MS });
    return windowJoins.length > 0 ? this.windows.fill(rows, windowJoins, knowledge) : rows;
  }

  /** The first record of a snapshot stands: equal bytes were built by an equal request, or might as well have been. Each counts as a read. */
  async save(request: AskedTrainingSet, record: TrainingSetRecord): Promise<void> {
    await this.postgres.transaction(async (tx) => {
      await tx.execute(
        `INSERT INTO training_sets (project, hash, rows, bytes, columns, query, view_hashes, request) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (project, hash) DO NOTHING`,
        [
          request.project,
          record.hash,
          record.rows,
          record.bytes,
          JSON.stringify(record.columns),
          record.query,
          JSON.stringify(record.viewHashes),
          JSON.stringify(request),
        ],
      );
      await addTrainingSet(tx, request.project, Object.keys(record.viewHashes), request.featureService ?? '', record.rows);
    });
  }

  async find(project: string, hash: string): Promise<TrainingSetRecord | undefined> {
    const [row] = await this.postgres.query<Omit<TrainingSetRecord, 'viewHashes'> & { view_hashes: Record<string, string> }>(
      'SELECT hash, rows, bytes, columns, query, view_hashes FROM training_sets WHERE project = $1 AND hash = $2',
      [project, hash],
    );
    if (!row) return undefined;
    const { view_hashes: viewHashes, ...rest } = row;
    return { ...rest, viewHashes };
  }
}
