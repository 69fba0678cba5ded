import { Inject, Injectable } from '@nestjs/common';
import { newId } from '@headrace/base/ids';
import { LIMITS, type Limits } from '../config.js';
import type { Backfill } from '../domain/backfill.js';
import { backfillUnknown, requestInvalid } from '../errors.js';
import { BackfillStore, type NewBackfill } from '../io/backfill-store.js';
import { RunBackfills } from './run-backfills.js';
import { ViewCatalogue } from './view-catalogue.js';

const LIST_MAX = 200;

/** Jobs in, jobs looked at, jobs cancelled; the work is done by `RunBackfills`. */
@Injectable()
export class RequestBackfill {
  constructor(
    private readonly backfills: BackfillStore,
    private readonly catalogue: ViewCatalogue,
    private readonly runner: RunBackfills,
    @Inject(LIMITS) private readonly limits: Limits,
  ) {}

  /** @throws AppError VIEW_UNKNOWN, REQUEST_INVALID */
  async start(request: Omit<NewBackfill, 'id'>): Promise<Backfill> {
    const { project, view, source, requestId } = request;
    (await this.catalogue.newest()).get(project, view);
    if (source.kind === 'file' && source.path === '') throw requestInvalid('`path` is empty; name a file in the folder of backfills');
    if (source.kind === 'postgres' && !this.limits.backfillSources.has(source.source))
      throw requestInvalid(`no source ${JSON.stringify(source.source)} is configured; add it to HEADRACE_FEATURES_BACKFILL_SOURCES`);
    const backfill = await this.backfills.request({ ...request, id: newId(), requestId: requestId || newId() });
    this.runner.nudge();
    return backfill;
  }

  /** @throws AppError BACKFILL_UNKNOWN */
  async find(project: string, id: string): Promise<Backfill> {
    const backfill = await this.backfills.find(project, id);
    if (!backfill) throw backfillUnknown(id);
    return backfill;
  }

  list(project: string): Promise<Backfill[]> {
    return this.backfills.list(project, LIST_MAX);
  }

  /** What is stored stays. One that has ended stays as it is. @throws AppError BACKFILL_UNKNOWN */
  async cancel(project: string, id: string): Promise<Backfill> {
    await this.backfills.cancel(project, id);
    return this.find(project, id);
  }
}
