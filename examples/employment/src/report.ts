import { AlertState, type Alert, type Report as MonitorReport } from '@headrace/contracts/monitoring/v1/monitoring';
import type { Version } from '@headrace/contracts/registry/v1/registry';
import type { Run } from '@headrace/contracts/training/v1/training';
import type { LoadResult } from './constant-load.js';
import type { Pass } from './predict-people.js';

/** Goals of the example; the loop counts as closed only when all hold. */
const GOALS = { fairnessCeiling: 0.2, accuracyLossMax: 0.03, oracleTolerance: 0.005 };

export interface LoopReport {
  readonly project: string;
  readonly closed: boolean;
  /** Every condition of `closed`, in words, with its verdict. */
  readonly checks: readonly { readonly name: string; readonly passed: boolean; readonly detail: string }[];
  readonly predictions: {
    readonly answered: number;
    readonly lost: number;
    readonly underLoad: number;
    readonly byVersion: Record<string, number>;
  };
  readonly fairness: { readonly metric: string; readonly attribute: string; readonly before: number; readonly after: number };
  readonly accuracy: { readonly before: number; readonly after: number };
  readonly groups: readonly {
    readonly value: string;
    readonly people: number;
    readonly truePositiveRateBefore: number;
    readonly truePositiveRateAfter: number;
    readonly selectionRateBefore: number;
    readonly selectionRateAfter: number;
  }[];
  readonly versions: readonly VersionLine[];
  readonly alert: { readonly id: string; readonly sentence: string; readonly state: string };
  /** From one prediction of version 2 back to the rows that trained its model. */
  readonly trace: readonly string[];
  readonly steps: readonly { readonly name: string; readonly seconds: number }[];
}

interface VersionLine {
  readonly version: number;
  readonly runId: string;
  readonly artifactSha256: string;
  readonly trainingSetHash: string;
  readonly mitigation: string;
  readonly gates: readonly string[];
}

export interface LoopFacts {
  readonly project: string;
  readonly people2015: number;
  readonly people2016: number;
  readonly run1: Run;
  readonly run2: Run;
  readonly before: Version;
  readonly after: Version;
  readonly pass1: Pass;
  readonly pass2: Pass;
  readonly report1: MonitorReport;
  readonly report2: MonitorReport;
  readonly alert: Alert;
  readonly resolved: Alert;
  readonly load: LoadResult;
  readonly attribute: string;
  readonly steps: readonly { readonly name: string; readonly seconds: number }[];
}

/** Facts -> report. The monitor's figures are compared with the caller's own count of its answers, which shares no code with it. */
export function judge(facts: LoopFacts): LoopReport {
  const { before, after, pass1, pass2, report1, report2, load, alert, attribute } = facts;
  const [gapBefore, gapAfter] = [gapOf(report1, attribute), gapOf(report2, attribute)];
  const lost = pass1.lost + pass2.lost + load.lost;
  const answered = pass1.answered + pass2.answered + load.answered;
  const checks = [
    check(
      'no prediction lost',
      lost === 0,
      `${answered} answered, ${lost} lost${[...pass1.failures, ...pass2.failures, ...load.failures].map((f) => `; ${f}`).join('')}`,
    ),
    check(
      'each answer came from one known version',
      [...load.versions.keys()].every((v) => v === before.version || v === after.version) &&
        pass1.versions.size === 1 &&
        pass2.versions.size === 1,
      [...load.versions].map(([v, n]) => `version ${v}: ${n}`).join(', '),
    ),
    check(
      'the alert asked for the retraining',
      facts.run2.alertId === alert.alertId && facts.run2.reason === 'alert',
      `run ${facts.run2.runId} names alert ${facts.run2.alertId}`,
    ),
    check(
      'version 2 was trained with the mitigation',
      facts.run2.mitigation?.attribute === attribute,
      `${facts.run2.mitigation?.method} on ${facts.run2.mitigation?.attribute}`,
    ),
    check(
      'the gap fell under its ceiling',
      gapAfter < GOALS.fairnessCeiling && gapAfter < gapBefore,
      `${fixed(gapBefore)} -> ${fixed(gapAfter)} (ceiling ${GOALS.fairnessCeiling})`,
    ),
    check(
      'accuracy held',
      report1.accuracy - report2.accuracy < GOALS.accuracyLossMax,
      `${fixed(report1.accuracy)} -> ${fixed(report2.accuracy)}`,
    ),
    ...(
      [
        [report1, pass1, 'version 1'],
        [report2, pass2, 'version 2'],
      ] as const
    ).map(([report, pass, name]) =>
      check(
        `the monitor counts ${name} as the caller does`,
        near(gapOf(report, attribute), pass.tally.equalOpportunityDifference) && near(report.accuracy, pass.tally.accuracy),
        `gap ${fixed(gapOf(report, attribute))} against ${fixed(pass.tally.equalOpportunityDifference)}, accuracy ${fixed(report.accuracy)} against ${fixed(pass.tally.accuracy)}`,
      ),
    ),
    check('the alert is resolved', facts.resolved.state === AlertState.RESOLVED, stateName(facts.resolved.state)),
  ];
  return {
    project: facts.project,
    closed: checks.every((c) => c.passed),
    checks,
    predictions: {
      answered,
      lost,
      underLoad: load.answered,
      byVersion: Object.fromEntries([...load.versions].map(([v, n]) => [String(v), n])),
    },
    fairness: { metric: 'equal_opportunity_difference', attribute, before: gapBefore, after: gapAfter },
    accuracy: { before: report1.accuracy, after: report2.accuracy },
    groups: groupsOf(report1, report2, attribute),
    versions: [before, after].map(versionLine),
    alert: { id: alert.alertId, sentence: alert.sentence, state: stateName(facts.resolved.state) },
    trace: traceOf(facts),
    steps: facts.steps,
  };
}

/** The report as a person reads it in a terminal. */
export function formatReport(report: LoopReport): string {
  const { fairness, accuracy, predictions } = report;
  const line = (left: string, a: string, b: string): string => `  ${left.padEnd(44)}${a.padStart(12)}${b.padStart(12)}`;
  const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;
  return [
    '',
    report.closed ? 'THE LOOP CLOSED' : 'THE LOOP DID NOT CLOSE',
    '',
    line('', 'version 1', 'version 2'),
    line(`equal-opportunity difference on ${fairness.attribute}`, fixed(fairness.before), fixed(fairness.after)),
    line('accuracy', fixed(accuracy.before), fixed(accuracy.after)),
    ...report.groups.flatMap((g) => [
      line(
        `${fairness.attribute}=${g.value}: found, of those who work (n=${g.people})`,
        percent(g.truePositiveRateBefore),
        percent(g.truePositiveRateAfter),
      ),
      line(`${fairness.attribute}=${g.value}: predicted to work`, percent(g.selectionRateBefore), percent(g.selectionRateAfter)),
    ]),
    '',
    `  predictions   ${predictions.answered} answered, ${predictions.lost} lost; ${predictions.underLoad} of them as constant load through the swap (${Object.entries(
      predictions.byVersion,
    )
      .map(([v, n]) => `version ${v}: ${n}`)
      .join(', ')})`,
    `  alert         ${report.alert.sentence} [${report.alert.state}]`,
    ...report.versions.flatMap((v) => [
      `  version ${v.version}     ${v.mitigation}; ONNX ${v.artifactSha256.slice(0, 12)}, training set ${v.trainingSetHash.slice(0, 12)}`,
      ...v.gates.map((gate) => `                ${gate}`),
    ]),
    '',
    '  from one prediction back to its rows',
    ...report.trace.map((t) => `    ${t}`),
    '',
    '  checks',
    ...report.checks.map((c) => `    ${c.passed ? 'ok  ' : 'FAIL'}  ${c.name}: ${c.detail}`),
    '',
    '  seconds',
    ...report.steps.map((s) => `    ${s.seconds.toFixed(1).padStart(6)}  ${s.name}`),
  ].join('\n');
}

function versionLine(version: Version): VersionLine {
  const { method, attribute } = (version.lineage?.mitigation ?? {}) as { method?: string; attribute?: string };
  return {
    version: version.version,
    runId: version.runId,
    artifactSha256: version.artifactSha256,
    trainingSetHash: version.lineage?.trainingSetHash ?? '',
    mitigation: method ? `${method} on ${attribute}` : 'no mitigation',
    gates: version.blessing?.gates.map((gate) => gate.sentence) ?? [],
  };
}

function traceOf({ pass2, after, alert, before }: LoopFacts): string[] {
  const predictionId = pass2.outcomes.keys().next().value ?? '';
  return [
    `prediction ${predictionId}`,
    `version ${after.version} of ${after.model}, ONNX sha256 ${after.artifactSha256}`,
    `run ${after.runId}, parent version ${after.lineage?.parentVersion}`,
    `alert ${alert.alertId} on version ${before.version}, for example predictions ${alert.examplePredictionIds.slice(0, 3).join(', ')}`,
    `training set ${after.lineage?.trainingSetHash}`,
    ...Object.entries(after.lineage?.viewHashes ?? {}).map(([view, hash]) => `feature view ${view}, definition ${hash}`),
  ];
}

function groupsOf(before: MonitorReport, after: MonitorReport, attribute: string): LoopReport['groups'] {
  const groups = (report: MonitorReport) => report.attributes.find((a) => a.attribute === attribute)?.groups ?? [];
  return groups(before).map((b) => {
    const a = groups(after).find((g) => g.value === b.value);
    return {
      value: b.value,
      people: b.labelled,
      truePositiveRateBefore: b.truePositiveRate,
      truePositiveRateAfter: a?.truePositiveRate ?? Number.NaN,
      selectionRateBefore: b.selectionRate,
      selectionRateAfter: a?.selectionRate ?? Number.NaN,
    };
  });
}

function gapOf(report: MonitorReport, attribute: string): number {
  return report.attributes.find((a) => a.attribute === attribute)?.equalOpportunityDifference ?? Number.NaN;
}

function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= GOALS.oracleTolerance;
}

function check(name: string, passed: boolean, detail: string): LoopReport['checks'][number] {
  return { name, passed, detail };
}

function stateName(state: AlertState): string {
  return state.replace('ALERT_STATE_', '').toLowerCase();
}

function fixed(x: number): string {
  return x.toFixed(3);
}
