import type { Clock } from '@headrace/base/clock';
import type { Cause } from '@headrace/platform/kafka/cause';
import { CLOCK } from '@headrace/platform/platform-module';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import { Inject, Injectable } from '@nestjs/common';
import { GroupCounts, splitGroups } from '../domain/group-counts.js';
import { isPositive, labelStep, mergeLabels, type ObservedLabel } from '../domain/outcomes.js';
import { addToGroups } from '../io/panes.js';
import { hasPending, keepPending, takeArrived } from '../io/pending-outcomes.js';
import { confirmLabels, conflicting, correctLabels, labelUnlabelled, unknownPredictions, type Relabelled } from '../io/predictions.js';
import { Telemetry } from '../telemetry.js';
import { Catalogue } from './catalogue.js';
import { JudgingLoop } from './judging-loop.js';

/** Labels in one transaction; also how much a judgement may see at once. */
const LABELS_PER_TRANSACTION = 10_000;

/**
 * The late labels' way in. A label and its prediction come over two topics in any order, and may be handled at the same moment by two
 * transactions that do not see each other. So each side first commits its own row (a label without a prediction waits in
 * `pending_outcome`) and then, in a second transaction, joins what has met: whichever commits last sees both. A crash in
 * between is mended by the redelivery, for both steps are idempotent.
 */
@Injectable()
export class IngestOutcomes {
  constructor(
    private readonly postgres: Postgres,
    private readonly catalogue: Catalogue,
    private readonly judging: JudgingLoop,
    private readonly telemetry: Telemetry,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async ingest(project: string, labels: readonly ObservedLabel[], cause: Cause): Promise<void> {
    const { kept, repeated, conflicting: conflicts } = mergeLabels(labels);
    this.telemetry.outcomes('repeated', repeated);
    this.telemetry.outcomes('outdated', conflicts);
    for (let from = 0; from < kept.length; from += LABELS_PER_TRANSACTION)
      await this.#ingestPart(project, kept.slice(from, from + LABELS_PER_TRANSACTION), cause);
  }

  /** Joins waiting labels with these predictions, which are committed. */
  async settle(project: string, predictionIds: readonly string[], cause: Cause): Promise<void> {
    if (predictionIds.length === 0 || !(await hasPending(this.postgres, project))) return;
    const applied = await this.postgres.transaction(async (tx) => this.#apply(tx, project, await takeArrived(tx, project, predictionIds)));
    await this.#tell(applied, cause);
  }

  async #ingestPart(project: string, labels: readonly ObservedLabel[], cause: Cause): Promise<void> {
    const startedAt = performance.now();
    const applied = await this.postgres.transaction(async (tx) => {
      const result = await this.#apply(tx, project, labels);
      if (result.unknown.length > 0) await keepPending(tx, project, result.unknown, this.clock.nowMs());
      return result;
    });
    this.telemetry.ingested('outcomes', labels.length, startedAt);
    this.telemetry.outcomes('pending', applied.unknown.length);
    await this.#tell(applied, cause);
    await this.settle(
      project,
      applied.unknown.map((label) => label.predictionId),
      cause,
    );
  }

  async #apply(tx: Tx, project: string, labels: readonly ObservedLabel[]): Promise<Applied> {
    if (labels.length === 0) return { joined: new Map(), unknown: [], fates: { joined: 0, repeated: 0, corrected: 0, outdated: 0 } };
    const first = await labelUnlabelled(tx, project, labels);
    if (rowsOf(first) === labels.length)
      return this.#count(tx, project, first, [], { joined: labels.length, repeated: 0, corrected: 0, outdated: 0 });

    const missing = await unknownPredictions(tx, project, labels);
    const known = labels.filter((label) => !missing.has(label.predictionId));
    // Again: a prediction that was committed since the first statement is known now, and must not be taken for a repeated label.
    first.push(...(await labelUnlabelled(tx, project, known)));
    await confirmLabels(tx, project, known);
    const byId = new Map(known.map((label) => [label.predictionId, label]));
    const conflicts = await conflicting(tx, project, known);
    const corrections = conflicts.flatMap((row) => {
      const label = byId.get(row.prediction_id)!;
      return labelStep({ label: row.label, observedMs: row.label_observed_ms }, label) === 'corrected'
        ? [{ ...label, oldLabel: row.label }]
        : [];
    });
    const corrected = corrections.length > 0 ? await correctLabels(tx, project, corrections) : [];
    const joined = rowsOf(first);
    const fates = {
      joined,
      repeated: known.length - joined - conflicts.length,
      corrected: corrected.length,
      outdated: conflicts.length - corrected.length,
    };
    return this.#count(
      tx,
      project,
      [...first, ...corrected],
      labels.filter((label) => missing.has(label.predictionId)),
      fates,
    );
  }

  /** Moves the group counts along with the labels. */
  async #count(
    tx: Tx,
    project: string,
    rows: readonly Relabelled[],
    unknown: readonly ObservedLabel[],
    fates: Applied['fates'],
  ): Promise<Applied> {
    const versions = new Map<number, { panes: Map<number, GroupCounts>; rows: number }>();
    for (const row of rows) {
      const { attributes, spec } = await this.catalogue.byId(row.version_id);
      let version = versions.get(row.version_id);
      if (!version) versions.set(row.version_id, (version = { panes: new Map(), rows: 0 }));
      let counts = version.panes.get(row.pane_start_ms);
      if (!counts) version.panes.set(row.pane_start_ms, (counts = new GroupCounts()));
      counts.relabel(
        attributes,
        splitGroups(row.groups),
        row.selected,
        row.old_label === null ? undefined : isPositive(spec, row.old_label),
        isPositive(spec, row.label),
        row.n,
      );
      version.rows += row.n;
    }
    for (const [versionId, { panes }] of [...versions].sort(([a], [b]) => a - b)) await addToGroups(tx, { project, versionId }, panes);
    return { joined: new Map([...versions].map(([id, { rows: n }]) => [id, n])), unknown, fates };
  }

  async #tell({ joined, fates }: Applied, cause: Cause): Promise<void> {
    for (const fate of ['joined', 'repeated', 'corrected', 'outdated'] as const) this.telemetry.outcomes(fate, fates[fate]);
    for (const [versionId, rows] of joined) await this.judging.saw(versionId, rows, cause);
  }
}

interface Applied {
  /** Version -> predictions whose label changed. */
  readonly joined: ReadonlyMap<number, number>;
  readonly unknown: readonly ObservedLabel[];
  readonly fates: Readonly<Record<'joined' | 'repeated' | 'corrected' | 'outdated', number>>;
}

const rowsOf = (rows: readonly Relabelled[]): number => rows.reduce((sum, row) => sum + row.n, 0);
