import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { CLOCK } from '@headrace/platform/platform-module';
import { LIMITS, type Limits } from '../config.js';
import type { IncomingRow } from '../domain/feature-row.js';
import { readJsonRow, rowAsJson } from '../domain/json-row.js';
import { maskContent, type KeptRow, type QuarantinedRow } from '../domain/quarantined-row.js';
import { quarantinedRowUnknown } from '../errors.js';
import { QuarantineStore, type QuarantineCount } from '../io/quarantine-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { IngestRows, type RejectedRow } from './ingest-rows.js';
import { ViewCatalogue } from './view-catalogue.js';

export interface Refused {
  readonly project: string;
  readonly view: string;
  readonly rows: readonly IncomingRow[];
  readonly rejected: readonly RejectedRow[];
  readonly arrivedUs: number;
  readonly origin: string;
  /** Place of the first row in the origin; default 0. */
  readonly firstPosition?: number;
}

/** Refused rows of every door: kept one by one, so that a bad row never holds up its neighbours and is not lost either. */
@Injectable()
export class QuarantineRows {
  readonly #trimmedMs = new Map<string, number>();

  constructor(
    private readonly quarantine: QuarantineStore,
    private readonly telemetry: FeatureTelemetry,
    @Inject(LIMITS) private readonly limits: Limits,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Safe to repeat: a row is known by its origin and place. @throws when Postgres is away: do it again. */
  async keep(refused: readonly Refused[]): Promise<void> {
    const rows = refused.flatMap(({ project, view, rows, rejected, arrivedUs, origin, firstPosition = 0 }) =>
      rejected.filter(isKept).map(({ row, code, feature = '', reason }): QuarantinedRow => {
        const content = JSON.stringify(rowAsJson(rows[row]!)) ?? 'null';
        return { project, view, origin, position: firstPosition + row, code, feature, reason, content, arrivedUs };
      }),
    );
    if (rows.length === 0) return;
    await this.quarantine.add(rows);
    for (const { view, code, feature = '' } of rows) this.telemetry.quarantined(view, code, feature);
    for (const { project, view } of refused) await this.#trim(project, view);
  }

  /** At most once a minute for a view: the bound may be passed by what comes in that time. */
  async #trim(project: string, view: string): Promise<void> {
    const key = `${project}/${view}`;
    const nowMs = this.clock.nowMs();
    if (nowMs - (this.#trimmedMs.get(key) ?? 0) < TRIM_EVERY_MS) return;
    this.#trimmedMs.set(key, nowMs);
    await this.quarantine.trim(project, view, this.limits.quarantineRowsMax);
  }
}

/** Whether a refused row may be kept for review, here or as a dead letter: nothing is kept of an erased entity. */
export function isKept({ code }: Pick<RejectedRow, 'code'>): boolean {
  return code !== 'ENTITY_ERASED';
}

const TRIM_EVERY_MS = 60_000;

export interface Replayed {
  readonly accepted: number;
  readonly refused: number;
}

/** Looking at quarantined rows, and sending them again after a fix. */
@Injectable()
export class ReviewQuarantine {
  constructor(
    private readonly quarantine: QuarantineStore,
    private readonly rows: IngestRows,
    private readonly catalogue: ViewCatalogue,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Newest first; values of personal features are masked. */
  async list(project: string, view: string, beforeId: number, limit: number): Promise<KeptRow[]> {
    return this.#masked(await this.quarantine.list(project, view, beforeId, limit));
  }

  /** @throws AppError QUARANTINED_ROW_UNKNOWN */
  async find(project: string, id: number): Promise<KeptRow> {
    const [row] = await this.#masked(await this.quarantine.find(project, id));
    if (!row) throw quarantinedRowUnknown(project, id);
    return row;
  }

  counts(project: string): Promise<QuarantineCount[]> {
    return this.quarantine.counts(project);
  }

  /**
   * What fits by now is stored with its first arrival and leaves the quarantine; the rest stays with its newest reason. A crash in between
   * leaves stored rows in the quarantine, whose next replay changes nothing.
   * @param ids empty = all rows of the view. @throws AppError VIEW_UNKNOWN
   */
  async replay(project: string, view: string, ids: readonly number[], signal?: AbortSignal): Promise<Replayed> {
    (await this.catalogue.newest()).get(project, view);
    let accepted = 0;
    let refused = 0;
    let afterId = 0;
    for (;;) {
      signal?.throwIfAborted();
      const kept = await this.quarantine.next(project, view, ids, afterId, REPLAY_BATCH);
      if (kept.length === 0) return { accepted, refused };
      afterId = kept.at(-1)!.id;
      const nowUs = this.clock.nowMs() * 1000;
      const outcomes = await this.rows.ingest(
        kept.map(({ code, content, arrivedUs }) => ({
          project,
          view,
          rows: [readJsonRow(JSON.parse(content))],
          // What was dated ahead of its arrival has none that could be kept.
          arrivedUs: code === 'ROW_FUTURE_DATED' ? nowUs : arrivedUs,
        })),
      );
      const again: QuarantinedRow[] = [];
      const done: number[] = [];
      for (const [i, outcome] of outcomes.entries()) {
        const fault = outcome.kind === 'stored' ? outcome.rejected[0] : { code: outcome.error.code, reason: outcome.error.message };
        // What is of an erased entity by now leaves the quarantine for good.
        if (fault && isKept(fault)) again.push({ ...kept[i]!, ...fault });
        else done.push(kept[i]!.id);
      }
      await this.quarantine.add(again);
      await this.quarantine.remove(done);
      accepted += outcomes.filter((outcome) => outcome.kind === 'stored' && outcome.rejected.length === 0).length;
      refused += again.length;
    }
  }

  async #masked(kept: readonly KeptRow[]): Promise<KeptRow[]> {
    const views = await this.catalogue.newest();
    return kept.map((row) => ({ ...row, content: maskContent(row.content, views.find(row.project, row.view)) }));
  }
}

const REPLAY_BATCH = 1_000;
