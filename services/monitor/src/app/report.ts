import type { AttributeReport, DriftFinding, Report } from '@headrace/contracts/monitoring/v1/monitoring';
import { Postgres } from '@headrace/platform/postgres/postgres';
import { decisions, rateOf, RATES } from '@headrace/stats/confusion';
import { fairnessSummary } from '@headrace/stats/group-metrics';
import type { ColumnSketch } from '@headrace/stats/histogram';
import { Injectable } from '@nestjs/common';
import { judgeColumns, type ColumnDrift, type DriftPolicy } from '../domain/drift-policy.js';
import { comparableGroups, type GroupCounts } from '../domain/group-counts.js';
import { listRedacted } from '../domain/redaction-counts.js';
import { CONFIDENCE } from '../domain/bias-policy.js';
import type { Span } from '../domain/windows.js';
import { modelUnknown } from '../errors.js';
import { readGroups, readSketches } from '../io/panes.js';
import { versionsOf } from '../io/versions.js';
import { Catalogue } from './catalogue.js';
import { toGroupReport } from './messages.js';

/** The newest panes whose sketches one report merges (some 20 kB each); counts cover the whole span. */
const DRIFT_PANES_MAX = 500;

export interface ReportQuery {
  readonly project: string;
  readonly model: string;
  /** 0 = all versions. */
  readonly version: number;
  /** Panes that begin in this half-open span; undefined = everything kept. */
  readonly from: Date | undefined;
  readonly to: Date | undefined;
}

/** Figures over any span: counts are exact sums over panes; drift is that of the newest version asked for. */
@Injectable()
export class ReadReport {
  constructor(
    private readonly postgres: Postgres,
    private readonly catalogue: Catalogue,
  ) {}

  /** A known model without traffic has an empty report. @throws AppError MODEL_UNKNOWN, DEPENDENCY_UNAVAILABLE */
  async read({ project, model, version, from, to }: ReportQuery): Promise<Report> {
    const row = (await this.catalogue.model(project, model)) ?? (await this.catalogue.refresh(project, model));
    if (!row) throw modelUnknown(project, model);
    const span: Span = { fromMs: from?.getTime() ?? 0, toMs: to?.getTime() ?? Number.MAX_SAFE_INTEGER };
    const versions = (await versionsOf(this.postgres, project, model)).filter((v) => version === 0 || v.version === version);
    const counts = await readGroups(
      this.postgres,
      versions.map((v) => v.id),
      span,
    );
    const newest = versions[0] && (await this.catalogue.byId(versions[0].id));
    const { drift, minSamples, minGroupSize } = row.spec.monitor;
    const { sketches, redacted } = newest
      ? await readSketches(this.postgres, newest.id, span, newest.baseline, DRIFT_PANES_MAX)
      : NO_SKETCHES;
    return {
      project,
      model,
      version,
      from,
      to,
      predictions: decisions(counts.overall),
      labelled: RATES.accuracy(counts.overall).n,
      accuracy: rateOf(counts.overall, 'accuracy').value,
      drift: newest ? judgeColumns(sketches, newest.baseline, drift, minSamples).flatMap((column) => toFindings(column, drift)) : [],
      attributes: (newest?.attributes ?? []).map((attribute) => toAttribute(attribute, counts, minGroupSize)),
      redacted: listRedacted(redacted),
    };
  }
}

const NO_SKETCHES = { sketches: new Map<string, ColumnSketch>(), redacted: new Map<string, number>() };

/** PSI for every column, and the KS distance for numeric ones; the p-value is that of the column's test, corrected for all columns. */
function toFindings({ column, psi, ks, pValue, samples, verdict, test }: ColumnDrift, policy: DriftPolicy): DriftFinding[] {
  const common = { column, pValue, samples };
  const findings: DriftFinding[] = [
    { ...common, method: 'psi', value: psi, threshold: policy.psi, drifted: verdict === 'breach' && psi > policy.psi },
  ];
  if (test === 'ks')
    findings.push({ ...common, method: 'ks', value: ks, threshold: policy.ks, drifted: verdict === 'breach' && ks > policy.ks });
  return findings;
}

function toAttribute(attribute: string, counts: GroupCounts, minGroupSize: number): AttributeReport {
  const groups = counts.groups(attribute);
  const summary = fairnessSummary(comparableGroups(groups), { minGroupSize, confidence: CONFIDENCE });
  const interval = summary.disparities.truePositiveRate.interval;
  return {
    attribute,
    groups: [...groups].map(([value, confusion]) => toGroupReport(value, confusion)),
    equalOpportunityDifference: summary.equalOpportunityDifference,
    equalOpportunityLow: interval?.low ?? Number.NaN,
    equalOpportunityHigh: interval?.high ?? Number.NaN,
    demographicParityDifference: summary.demographicParityDifference,
    equalizedOddsDifference: summary.equalizedOddsDifference,
    disparateImpact: summary.demographicParityRatio,
  };
}
