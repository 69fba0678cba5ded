import { Inject, Injectable } from '@nestjs/common';
import { AppError } from '@headrace/base/errors';
import { LIMITS, type Limits } from '../config.js';
import { isFault, readRow, type IncomingRow, type RowFault } from '../domain/feature-row.js';
import { mergeDuplicates, newestByEntity, type ArrivedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { eventTooLarge, viewUnknown } from '../errors.js';
import { OfflineStore, type ViewRows } from '../io/offline-store.js';
import { OnlineStore } from '../io/online-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { ViewCatalogue, type Views } from './view-catalogue.js';

/** Rows of one view that came together: an event or a push. */
export interface RowsReceived {
  readonly project: string;
  readonly view: string;
  readonly rows: readonly IncomingRow[];
  /** Microseconds; must be the same when the same rows are delivered again. */
  readonly arrivedUs: number;
}

export type IngestOutcome =
  | { readonly kind: 'stored'; readonly accepted: number; readonly rejected: readonly RejectedRow[] }
  /** None of its rows: the view is unknown, or the whole is too large or empty. */
  | { readonly kind: 'refused'; readonly error: AppError };

export interface RejectedRow extends RowFault {
  /** Position in the event. */
  readonly row: number;
}

/** Rows that go through the two stores together; bounds memory and the length of a transaction. */
const ROWS_PER_TRANSACTION = 50_000;

/**
 * The one way in, from Kafka and from push: validate each row against its view, append offline, then set online what is newest.
 * A crash or failure between the two stores is repaired by doing it again, because both writes are idempotent.
 */
@Injectable()
export class IngestRows {
  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly offline: OfflineStore,
    private readonly online: OnlineStore,
    private readonly telemetry: FeatureTelemetry,
    @Inject(LIMITS) private readonly limits: Limits,
  ) {}

  /** @returns one outcome for each element, in order. @throws when a store is away: nothing is lost, do it again. */
  async ingest(received: readonly RowsReceived[]): Promise<IngestOutcome[]> {
    const views = await this.catalogue.newest();
    const outcomes: IngestOutcome[] = [];
    let from = 0;
    while (from < received.length) {
      let to = from;
      for (let rows = 0; to < received.length && (to === from || rows + received[to]!.rows.length <= ROWS_PER_TRANSACTION); to++)
        rows += received[to]!.rows.length;
      outcomes.push(...(await this.#ingestPart(views, received.slice(from, to))));
      from = to;
    }
    return outcomes;
  }

  async #ingestPart(views: Views, received: readonly RowsReceived[]): Promise<IngestOutcome[]> {
    const startedAt = performance.now();
    const groups = new Map<View, ArrivedRow[]>();
    const outcomes = received.map((item) => this.#validate(views, item, groups));
    await this.#store(
      [...groups].map(([view, rows]) => ({ view, rows: mergeDuplicates(rows) })),
      groups,
    );
    this.#account(views, received, outcomes, startedAt);
    return outcomes;
  }

  #validate(views: Views, { project, view: name, rows, arrivedUs }: RowsReceived, groups: Map<View, ArrivedRow[]>): IngestOutcome {
    const view = views.find(project, name);
    if (!view) return { kind: 'refused', error: viewUnknown(project, name) };
    if (rows.length === 0)
      return { kind: 'refused', error: new AppError('EVENT_MALFORMED', `no rows for view ${name}; send at least one under \`rows\``) };
    if (rows.length > this.limits.eventRowsMax)
      return {
        kind: 'refused',
        error: eventTooLarge(`${rows.length} rows for view ${name} came at once; at most ${this.limits.eventRowsMax} are allowed`),
      };
    let group = groups.get(view);
    if (!group) groups.set(view, (group = []));
    const rejected: RejectedRow[] = [];
    for (let i = 0; i < rows.length; i++) {
      const row = readRow(view, rows[i]!, arrivedUs / 1000, this.limits);
      if (isFault(row)) rejected.push({ row: i, ...row });
      else {
        const { entityKey, keys, eventTimeMs, values, contentHash } = row;
        group.push({ entityKey, keys, eventTimeMs, values, contentHash, ingestTimeUs: arrivedUs });
      }
    }
    return { kind: 'stored', accepted: rows.length - rejected.length, rejected };
  }

  /** Offline first: what is online can always be made again from it. */
  async #store(merged: readonly ViewRows[], groups: ReadonlyMap<View, readonly ArrivedRow[]>): Promise<void> {
    const inserted = await this.offline.append(merged);
    for (const { view, rows } of merged) {
      if (view.spec.online) await this.online.write(view, newestByEntity(rows));
      this.telemetry.duplicates(view.name, groups.get(view)!.length - (inserted.get(view.id) ?? 0));
    }
  }

  #account(views: Views, received: readonly RowsReceived[], outcomes: readonly IngestOutcome[], startedAt: number): void {
    let rows = 0;
    for (const [i, outcome] of outcomes.entries()) {
      const item = received[i]!;
      // A name from outside that is no view must not become a label.
      const label = views.find(item.project, item.view)?.name ?? 'unknown';
      rows += item.rows.length;
      if (outcome.kind === 'refused') {
        this.telemetry.rows(label, outcome.error.code, Math.max(1, item.rows.length));
        continue;
      }
      this.telemetry.rows(label, 'accepted', outcome.accepted);
      for (const { code } of outcome.rejected) this.telemetry.rows(label, code, 1);
      if (outcome.accepted > 0) this.telemetry.readable(label, item.arrivedUs / 1000, newestEventMs(item, outcome));
    }
    this.telemetry.batch(rows, (performance.now() - startedAt) / 1000);
  }
}

function newestEventMs({ rows }: RowsReceived, { rejected }: IngestOutcome & { kind: 'stored' }): number {
  const bad = new Set(rejected.map((r) => r.row));
  let newest = -Infinity;
  for (let i = 0; i < rows.length; i++) if (!bad.has(i)) newest = Math.max(newest, rows[i]!.eventTime!.getTime());
  return newest;
}
