import type { Cause } from '@headrace/platform/kafka/cause';
import { Postgres, type Tx } from '@headrace/platform/postgres/postgres';
import { decisions, type Confusion } from '@headrace/stats/confusion';
import { Injectable } from '@nestjs/common';
import { judgeBias, needsLabels } from '../domain/bias-policy.js';
import { driftFinding, judgeColumns } from '../domain/drift-policy.js';
import type { Finding } from '../domain/finding.js';
import type { GroupCounts } from '../domain/group-counts.js';
import { judgeAccuracy } from '../domain/performance-policy.js';
import { remember } from '../domain/standing.js';
import { windowEndingWith, type Span } from '../domain/windows.js';
import { lockModel, type ModelRow } from '../io/models.js';
import { newestPane, readGroups, readSketches } from '../io/panes.js';
import { readMarkers, saveMarkers } from '../io/versions.js';
import { readWatches, saveWatches } from '../io/watches.js';
import { Telemetry } from '../telemetry.js';
import { Catalogue, type Described } from './catalogue.js';
import { RaiseAlerts } from './raise-alerts.js';

/**
 * One judgement of one version: its newest windows against training, between groups, and against the floor; then its alerts. All in
 * one transaction under the model's lock, so that two processes cannot count the same evidence twice.
 */
@Injectable()
export class JudgeVersion {
  constructor(
    private readonly postgres: Postgres,
    private readonly catalogue: Catalogue,
    private readonly alerts: RaiseAlerts,
    private readonly telemetry: Telemetry,
  ) {}

  async judge(versionId: number, cause?: Cause): Promise<void> {
    const startedAt = performance.now();
    const described = await this.catalogue.byId(versionId);
    const { changed, findings } = await this.postgres.transaction(async (tx) => {
      const model = (await lockModel(tx, described.project, described.model))!;
      const fresh = await freshFindings(tx, described, model);
      await this.#remember(tx, described, model, fresh);
      return { findings: fresh, changed: await this.alerts.step(tx, model, described, fresh, cause) };
    });
    this.telemetry.judged(described, findings, startedAt);
    for (const alert of changed) this.telemetry.alertChanged(alert);
  }

  /** Nothing new was seen, but who serves has changed, or a cool-down has ended: looks at the standings again. */
  async reconsider(project: string, model: string): Promise<void> {
    const changed = await this.postgres.transaction(async (tx) => {
      const row = await lockModel(tx, project, model);
      return row ? this.alerts.step(tx, row, undefined, [], undefined) : [];
    });
    for (const alert of changed) this.telemetry.alertChanged(alert);
  }

  async #remember(tx: Tx, { id, project, model }: Described, { spec }: ModelRow, findings: readonly Finding[]): Promise<void> {
    const judged = findings.filter((finding) => finding.verdict !== 'insufficient');
    if (judged.length === 0) return;
    const past = new Map(
      (await readWatches(tx, project, model)).filter((w) => w.version_id === id).map((w) => [`${w.kind}/${w.subject}`, w.history]),
    );
    await saveWatches(
      tx,
      project,
      id,
      judged.map(({ kind, subject, verdict }) => ({
        kind,
        subject,
        history: remember(past.get(`${kind}/${subject}`) ?? '', verdict, spec.monitor.persistence),
      })),
    );
  }
}

/** Findings of those windows that hold something which the last judgement did not see. */
async function freshFindings(tx: Tx, described: Described, { spec }: ModelRow): Promise<Finding[]> {
  const [traffic, labelled] = [
    await windowOf(tx, described, spec.monitor, 'predictions'),
    await windowOf(tx, described, spec.monitor, 'labels'),
  ];
  const before = await readMarkers(tx, described.id);
  const markers = { traffic_marker: traffic?.marker ?? before.traffic_marker, labelled_marker: labelled?.marker ?? before.labelled_marker };
  const findings: Finding[] = [];
  if (traffic && markers.traffic_marker !== before.traffic_marker) {
    findings.push(
      ...(await driftFindings(tx, described, spec.monitor, traffic.span)),
      ...biasFindings(described, spec.monitor, traffic, false),
    );
  }
  if (labelled && markers.labelled_marker !== before.labelled_marker) {
    const { accuracyFloor, minSamples } = spec.monitor;
    findings.push(...biasFindings(described, spec.monitor, labelled, true));
    if (accuracyFloor !== undefined)
      findings.push(judgeAccuracy(labelled.counts.overall, accuracyFloor, minSamples, described.version, labelled.span));
  }
  if (markers.traffic_marker !== before.traffic_marker || markers.labelled_marker !== before.labelled_marker)
    await saveMarkers(tx, described.id, markers);
  return findings;
}

type Policy = ModelRow['spec']['monitor'];

interface WindowCounts {
  readonly span: Span;
  readonly counts: GroupCounts;
  /** Changes whenever the window holds something new. */
  readonly marker: string;
}

async function windowOf(tx: Tx, { id }: Described, policy: Policy, having: 'predictions' | 'labels'): Promise<WindowCounts | undefined> {
  const newest = await newestPane(tx, id, having);
  if (newest === undefined) return undefined;
  const span = windowEndingWith(newest, policy);
  const counts = await readGroups(tx, [id], span);
  return { span, counts, marker: `${newest}/${having === 'predictions' ? decisions(counts.overall) : labelMark(counts.overall)}` };
}

/** Also a corrected label is news. */
const labelMark = ({ tp, fp, tn, fn }: Confusion): string => [tp, fp, tn, fn].join('.');

async function driftFindings(tx: Tx, described: Described, policy: Policy, span: Span): Promise<Finding[]> {
  const { sketches } = await readSketches(tx, described.id, span, described.baseline, policy.panesPerWindow);
  const columns = judgeColumns(sketches, described.baseline, policy.drift, policy.minSamples);
  return columns.map((column) => driftFinding(column, policy.drift, columns.length, described.version, span));
}

function biasFindings({ version, attributes }: Described, policy: Policy, window: WindowCounts, labelled: boolean): Finding[] {
  const rules = policy.bias.filter((rule) => needsLabels(rule.metric) === labelled && attributes.includes(rule.attribute));
  return rules.map((rule) => judgeBias(rule, window.counts, policy, version, window.span));
}
