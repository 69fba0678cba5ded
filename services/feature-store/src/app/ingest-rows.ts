import { Inject, Injectable } from '@nestjs/common';
import { AppError } from '@headrace/base/errors';
import { LIMITS, type Limits } from '../config.js';
import { isFault, readRow, type IncomingRow, type RowFault } from '../domain/feature-row.js';
import { mergeDuplicates, type ArrivedRow, type MergedRow } from '../domain/row-order.js';
import type { View } from '../domain/view.js';
import { eventTooLarge, viewUnknown } from '../errors.js';
import { OfflineStore, type Appended, type ViewRows } from '../io/offline-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { ViewCatalogue, type Views } from './view-catalogue.js';
import { WriteOnline } from './write-online.js';

/** Rows of one view that came together: an event or a push. */
export interface RowsReceived {
  readonly project: string;
  readonly view: string;
  readonly rows: readonly IncomingRow[];
  /** Microseconds; must be the same when the same rows are delivered again. */
  readonly arrivedUs: number;
}

/**
 * Which stores the rows go to. `online` alone keeps no history: the row is gone with Redis. `offline` alone leaves the online store as it
 * is until its next rebuild.
 */
export type Destination = 'both' | 'online' | 'offline';

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

/** Valid rows by view. */
type Groups = Map<View, ArrivedRow[]>;

const NOTHING_APPENDED: ReadonlyMap<number, Appended> = new Map();

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
    private readonly online: WriteOnline,
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
    const startedAt = performance.now();
    const views = await this.catalogue.newest();
    const groups: Groups = new Map();
    const outcome = this.#validate(views, received, groups);
    const appended = await this.#store(groups, to, true);
    this.#account(views, [received], [outcome], { startedAt, to });
    const [group] = groups;
    if (outcome.kind === 'refused' || !group) return outcome;
    const [view, arrived] = group;
    return { ...outcome, duplicates: duplicatesOf(outcome, arrived, appended.get(view.id)?.known ?? []) };
  }

  async #ingestPart(views: Views, received: readonly RowsReceived[], to: Destination): Promise<IngestOutcome[]> {
    const startedAt = performance.now();
    const groups: Groups = new Map();
    const outcomes = received.map((item) => this.#validate(views, item, groups));
    await this.#store(groups, to, false);
    this.#account(views, received, outcomes, { startedAt, to });
    return outcomes;
  }

  #validate(views: Views, { project, view: name, rows, arrivedUs }: RowsReceived, groups: Groups): IngestOutcome {
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
    return { kind: 'stored', accepted: rows.length - rejected.length, rejected, duplicates: [] };
  }

  /** Offline first: what is online can always be made again from it. */
  async #store(groups: Groups, to: Destination, tellKnown: boolean): Promise<ReadonlyMap<number, Appended>> {
    const merged = [...groups].map(([view, rows]): ViewRows => ({ view, rows: mergeDuplicates(rows) }));
    const appended = to === 'online' ? NOTHING_APPENDED : await this.offline.append(merged, { tellKnown });
    for (const { view, rows } of merged) {
      if (view.spec.online && to !== 'offline') await this.online.write(view, rows);
      const offline = appended.get(view.id);
      if (offline) this.telemetry.duplicates(view.name, groups.get(view)!.length - offline.inserted);
    }
    return appended;
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
