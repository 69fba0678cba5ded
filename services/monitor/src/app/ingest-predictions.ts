import type { ErrorCode } from '@headrace/base/errors';
import type { PredictionsLoggedData } from '@headrace/codec/predictions-logged';
import type { Cause } from '@headrace/platform/kafka/cause';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { Injectable } from '@nestjs/common';
import { boundedGroup, groupValueOf, joinGroups, type GroupCounts } from '../domain/group-counts.js';
import { foldRows, type PaneDelta } from '../domain/pane-fold.js';
import { cellOf, faultOf } from '../domain/prediction-batch.js';
import { redactedGroupOf } from '../domain/redaction-counts.js';
import { paneStartOf } from '../domain/windows.js';
import { addToGroups, addToPanes } from '../io/panes.js';
import { insertPredictions } from '../io/predictions.js';
import { Catalogue, type Described } from './catalogue.js';
import { IngestOutcomes } from './ingest-outcomes.js';
import { JudgingLoop } from './judging-loop.js';
import { Surroundings } from './surroundings.js';

export interface LoggedBatch {
  readonly data: PredictionsLoggedData;
  readonly cause: Cause;
}

/** What became of a batch. `parked`: its version cannot be described now; the caller must keep the bytes. */
export type BatchOutcome =
  | { readonly kind: 'stored' }
  | { readonly kind: 'empty' }
  | { readonly kind: 'parked' }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string };

/** Rows in one transaction: bounds memory, the time of locks, and how much a judgement may see at once. */
const ROWS_PER_TRANSACTION = 10_000;

/**
 * The prediction log's way in. A prediction id counts once, whatever is delivered again: rows, sketches and group counts commit in one
 * transaction, and only rows that were new are counted. So neither offsets nor event ids need to be remembered.
 */
@Injectable()
export class IngestPredictions {
  constructor(
    private readonly postgres: Postgres,
    private readonly catalogue: Catalogue,
    private readonly outcomes: IngestOutcomes,
    private readonly judging: JudgingLoop,
    private readonly around: Surroundings,
  ) {}

  /** @returns one outcome for each batch, in order. @throws when Postgres is away: nothing is lost, do it again. */
  async ingest(batches: readonly LoggedBatch[]): Promise<BatchOutcome[]> {
    const versions = new Map<number, { described: Described; batches: LoggedBatch[] }>();
    const outcomes: BatchOutcome[] = [];
    for (const batch of batches) {
      const place = await this.#placeOf(batch.data);
      outcomes.push(place.outcome);
      this.#account(place.outcome, batch.data);
      if (!place.described) continue;
      const group = versions.get(place.described.id);
      if (group) group.batches.push(batch);
      else versions.set(place.described.id, { described: place.described, batches: [batch] });
    }
    for (const group of versions.values()) for (const part of chunked(group.batches)) await this.#store(group.described, part);
    return outcomes;
  }

  async #placeOf(data: PredictionsLoggedData): Promise<{ outcome: BatchOutcome; described?: Described }> {
    const fault = faultOf(data, this.around.clock.nowMs());
    if (fault) return { outcome: { kind: 'refused', ...fault } };
    if (data.predictionIds.length === 0) return { outcome: { kind: 'empty' } };
    const described = await this.catalogue.describe(data.project, data.model, data.version);
    if (described === 'away') return { outcome: { kind: 'parked' } };
    if (described === 'unknown')
      return {
        outcome: {
          kind: 'refused',
          code: 'VERSION_UNKNOWN',
          reason: `the registry has no version ${data.version} of model ${data.model} in project ${data.project}`,
        },
      };
    return { outcome: { kind: 'stored' }, described };
  }

  async #store(described: Described, batches: readonly LoggedBatch[]): Promise<void> {
    const startedAt = performance.now();
    const horizonMs = this.around.clock.nowMs() - this.around.config.predictionRetentionMs;
    const prepared = await Promise.all(
      batches.map(async ({ data }) => prepare(data, described, horizonMs, await this.#groupValues(described, data))),
    );
    const rows = prepared.reduce((sum, batch) => sum + batch.kept.length, 0);
    const counted = rows === 0 ? 0 : await this.#commit(described, prepared);
    const telemetry = this.around.telemetry;
    telemetry.predictions(
      'expired',
      prepared.reduce((sum, { data, kept }) => sum + data.predictionIds.length - kept.length, 0),
    );
    telemetry.predictions('repeated', rows - counted);
    telemetry.predictions('counted', counted);
    if (rows === 0) return;
    telemetry.ingested('predictions', rows, startedAt);

    // Also when nothing was new: a crash may have come between the commit and this.
    const cause = batches.at(-1)!.cause;
    await this.outcomes.settle(
      described.project,
      prepared.flatMap(({ data, kept }) => kept.map((row) => data.predictionIds[row]!)),
      cause,
    );
    if (counted > 0) await this.judging.saw(described.id, counted, cause);
  }

  /** @returns how many rows were new */
  #commit(described: Described, prepared: readonly Prepared[]): Promise<number> {
    const { project, id: versionId, baseline, attributes } = described;
    const every = <T>(pick: (batch: Prepared, row: number) => T): T[] =>
      prepared.flatMap((batch) => batch.kept.map((row) => pick(batch, row)));
    return this.postgres.transaction(async (tx) => {
      const fresh = await insertPredictions(tx, project, versionId, {
        ids: every(({ data }, row) => data.predictionIds[row]!),
        paneStartMs: every((batch, row) => batch.paneStartMs[row]!),
        predictedMs: every(({ data }, row) => Math.trunc(data.predictedAtMs[row]!)),
        scores: every(({ data }, row) => data.scores[row]!),
        selected: every(({ data }, row) => data.labels[row] === 1),
        groups: every((batch, row) => batch.groups[row]!),
        entities: every(({ data }, row) => (data.entities[row] ?? '').replaceAll('\u0000', '')),
      });
      const unseen = fresh && new Set(fresh);
      const deltas = new Map<number, PaneDelta>();
      let counted = 0;
      for (const { data, kept, paneStartMs, groups } of prepared) {
        // An id that stands twice in the log is new once: `delete` is true the first time.
        const rows = unseen ? kept.filter((row) => unseen.delete(data.predictionIds[row]!)) : kept;
        counted += rows.length;
        foldRows(deltas, data, { rows, paneStartMs, groups }, baseline, attributes);
      }
      if (counted > 0) {
        await addToPanes(tx, { project, versionId }, deltas, baseline);
        await addToGroups(
          tx,
          { project, versionId },
          new Map<number, GroupCounts>([...deltas].map(([start, delta]) => [start, delta.groups])),
        );
      }
      return counted;
    });
  }

  async #groupValues(described: Described, data: PredictionsLoggedData): Promise<(row: number) => string> {
    const columns = await Promise.all(
      described.attributes.map(async (attribute) => ({
        column: data.columns.find((c) => c.name === attribute),
        redacted: data.redacted.find((c) => c.name === attribute),
        known: await this.catalogue.groupsOf(described.id, attribute),
      })),
    );
    return (row) =>
      joinGroups(
        columns.map(({ column, redacted, known }) =>
          boundedGroup(known, redacted ? redactedGroupOf(redacted, row) : groupValueOf(column && cellOf(column, row))),
        ),
      );
  }

  #account(outcome: BatchOutcome, data: PredictionsLoggedData): void {
    if (outcome.kind === 'refused' || outcome.kind === 'parked') this.around.telemetry.predictions(outcome.kind, data.predictionIds.length);
  }
}

interface Prepared {
  readonly data: PredictionsLoggedData;
  /** Rows that are not older than the retention. */
  readonly kept: readonly number[];
  /** By row. */
  readonly paneStartMs: readonly number[];
  readonly groups: readonly string[];
}

function prepare(data: PredictionsLoggedData, { spec }: Described, horizonMs: number, groupsOf: (row: number) => string): Prepared {
  const kept: number[] = [];
  const paneStartMs: number[] = [];
  const groups: string[] = [];
  for (let row = 0; row < data.predictionIds.length; row++) {
    const atMs = data.predictedAtMs[row]!;
    paneStartMs.push(paneStartOf(atMs, spec.monitor));
    groups.push(atMs < horizonMs ? '' : groupsOf(row));
    if (atMs >= horizonMs) kept.push(row);
  }
  return { data, kept, paneStartMs, groups };
}

function* chunked(batches: readonly LoggedBatch[]): Generator<LoggedBatch[]> {
  let [part, rows]: [LoggedBatch[], number] = [[], 0];
  for (const batch of batches) {
    const more = batch.data.predictionIds.length;
    if (part.length > 0 && rows + more > ROWS_PER_TRANSACTION) {
      yield part;
      [part, rows] = [[], 0];
    }
    part.push(batch);
    rows += more;
  }
  if (part.length > 0) yield part;
}
