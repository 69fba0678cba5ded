import type { Writable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { planDuckDb, type DuckDbPlan } from '../domain/duckdb-plan.js';
import type { FrameColumn, FrameRequest } from '../domain/frame-plan.js';
import type { Knowledge } from '../domain/point-in-time-probe.js';
import { HistoryStore } from '../io/history-store.js';
import { ViewCatalogue } from './view-catalogue.js';

/** The point-in-time join for those who would rather run it in DuckDB: the histories as Parquet, and the query over them. */
@Injectable()
export class ExportHistory {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly histories: HistoryStore,
  ) {}

  /** @throws AppError VIEW_UNKNOWN, REQUEST_INVALID */
  async plan(project: string, frame: readonly FrameColumn[], request: FrameRequest): Promise<DuckDbPlan> {
    const views = await this.catalogue.newest();
    return planDuckDb(frame, request, (view) => views.get(project, view));
  }

  /**
   * @param features `view:feature`, all of one view.
   * @returns what writes the history of that view; a stream that is closed early ends the statement in Postgres.
   */
  async history(project: string, features: readonly string[], knowledge: Knowledge): Promise<(out: Writable) => Promise<void>> {
    const plan = await this.plan(project, [], { features, timeColumn: 'event_timestamp', knowledge });
    const [history] = plan.histories;
    return (out) => this.histories.write(history!, out);
  }
}
