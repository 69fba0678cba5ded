import { Inject, Injectable } from '@nestjs/common';
import { AppError } from '@headrace/base/errors';
import { LIMITS, type Limits } from '../config.js';
import { isFault, readRow, type IncomingRow, type RowFault } from '../domain/feature-row.js';
import type { ArrivedRow, MergedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { eventTooLarge, viewUnknown } from '../errors.js';
import type { Appended } from '../io/offline-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { ErasedRows } from './erased-rows.js';
import { StoreRows, type Destination, type Groups } from './store-rows.js';
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
  | {
      readonly kind: 'stored';
      /** Duplicates included. */
      readonly accepted: number;
      readonly rejected: readonly RejectedRow[];
      /** Positions of rows that were stored already; known of pushes only. */
      readonly duplicates: readonly number[];
    }
  /** None of its rows: the view is unknown, or the whole is too large or empty. */
  | { readonly kind: 'refused'; readonly error: AppError };

export interface RejectedRow extends RowFault {
  /** Position in the event. */
  readonly row: number;
}

interface Stored {
  readonly groups: Groups;
  readonly outcomes: IngestOutcome[];
  readonly appended: ReadonlyMap<number, Appended>;
}

/** Nothing of such a row is kept anywhere, nor told. */
const ENTITY_ERASED: RowFault = {
  code: 'ENTITY_ERASED',
  reason: 'the entity was erased, and the row is of a time before that; nothing of it is kept',
};

/** Rows are stored in some milliseconds; more erasures than this will not begin meanwhile, one after the other. */
const ERASURE_TRIES_MAX = 20;

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
    private readonly stores: StoreRows,
    private readonly erased: ErasedRows,
    private readonly telemetry: FeatureTelemetry,
    @Inject(LIMITS) private readonly limits: Limits,
  ) {}

  /** @returns one outcome for each element, in order. @throws when a store is away: nothing is lost, do it again. */
  async ingest(received: readonly RowsReceived[], to: Destination = 'both'): Promise<IngestOutcome[]> {
    const views = await this.catalogue.newest();
    const outcomes: IngestOutcome[] = [];
    let from = 0;
    while (from < received.length) {
      let end = from;
      for (let rows = 0; end < received.length && (end === from || rows + received[end]!.rows.length <= ROWS_PER_TRANSACTION); end++)
        rows += received[end]!.rows.length;
      outcomes.push(...(await this.#ingestPart(views, received.slice(from, end), to)));
      from = end;
    }
    return outcomes;
  }

  /** @throws AppError VIEW_UNKNOWN */
  async view(project: string, name: string): Promise<View> {
    return (await this.catalogue.newest()).get(project, name);
  }

  /** The same for one caller who waits, and is told which of the rows were stored already. */
  async push(received: RowsReceived, to: Destination): Promise<IngestOutcome> {
    const views = await this.catalogue.newest();
    const { groups, outcomes, appended } = await this.#store(views, [received], to, true);
    const [outcome] = outcomes;
    const [group] = groups;
    if (outcome!.kind === 'refused' || !group) return outcome!;
    const [view, arrived] = group;
    return { ...outcome!, duplicates: duplicatesOf(outcome!, arrived, appended.get(view.id)?.known ?? []) };
  }

  async #ingestPart(views: Views, received: readonly RowsReceived[], to: Destination): Promise<IngestOutcome[]> {
    return (await this.#store(views, received, to, false)).outcomes;
  }

  async #store(views: Views, received: readonly RowsReceived[], to: Destination, tellKnown: boolean): Promise<Stored> {
    const startedAt = performance.now();
    for (let tries = 1; tries <= ERASURE_TRIES_MAX; tries++) {
      const erased = await this.erased.among(views, received);
      const groups: Groups = new Map();
      const outcomes = received.map((item, i) => this.#validate(views, item, erased.rows[i]!, groups));
      const appended = await this.stores.store(groups, { to, tellKnown, epoch: erased.epoch });
      if (!appended) continue; // an entity is being erased: perhaps one of these
      this.#account(views, received, outcomes, { startedAt, to });
      return { groups, outcomes, appended };
    }
    throw new AppError('OVERLOADED', 'entities are erased faster than rows can be stored; the rows are tried again');
  }

  #validate(
    views: Views,
    { project, view: name, rows, arrivedUs }: RowsReceived,
    erased: ReadonlySet<number>,
    groups: Groups,
  ): IngestOutcome {
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
      const row = erased.has(i) ? ENTITY_ERASED : readRow(view, rows[i]!, arrivedUs / 1000, this.limits);
      if (isFault(row)) rejected.push({ row: i, ...row });
      else {
        const { entityKey, keys, eventTimeMs, values, contentHash } = row;
        group.push({ entityKey, keys, eventTimeMs, values, contentHash, ingestTimeUs: arrivedUs });
      }
    }
    return { kind: 'stored', accepted: rows.length - rejected.length, rejected, duplicates: [] };
  }

  #account(
    views: Views,
    received: readonly RowsReceived[],
    outcomes: readonly IngestOutcome[],
    { startedAt, to }: { startedAt: number; to: Destination },
  ): void {
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
      if (outcome.accepted > 0 && to !== 'offline') this.telemetry.readable(label, item.arrivedUs / 1000, newestEventMs(item, outcome));
    }
    this.telemetry.batch(rows, (performance.now() - startedAt) / 1000);
  }
}

/** Positions of the rows that were stored already or came twice. @param arrived the rows that were not rejected, in order. */
function duplicatesOf(
  { rejected, accepted }: IngestOutcome & { kind: 'stored' },
  arrived: readonly ArrivedRow[],
  known: Iterable<MergedRow>,
): number[] {
  const bad = new Set(rejected.map((r) => r.row));
  const seen = new Set([...known].map(nameOf));
  const duplicates: number[] = [];
  for (let at = 0, row = 0; at < accepted; row++) {
    if (bad.has(row)) continue;
    const name = nameOf(arrived[at++]!);
    if (seen.has(name)) duplicates.push(row);
    seen.add(name);
  }
  return duplicates;
}

function nameOf({ entityKey, eventTimeMs, contentHash }: ArrivedRow | MergedRow): string {
  return `${eventTimeMs}/${contentHash}/${entityKey}`;
}

function newestEventMs({ rows }: RowsReceived, { rejected }: IngestOutcome & { kind: 'stored' }): number {
  const bad = new Set(rejected.map((r) => r.row));
  let newest = -Infinity;
  for (let i = 0; i < rows.length; i++) if (!bad.has(i)) newest = Math.max(newest, rows[i]!.eventTime!.getTime());
  return newest;
}
