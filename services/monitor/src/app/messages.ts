import { AlertState, type Alert, type GroupReport } from '@headrace/contracts/monitoring/v1/monitoring';
import { decisions, rateOf, type Confusion } from '@headrace/stats/confusion';
import type { AlertState as State } from '../domain/alert-state.js';
import type { AlertRow } from '../io/alerts.js';

const STATE: Readonly<Record<State, AlertState>> = {
  suspected: AlertState.SUSPECTED,
  firing: AlertState.FIRING,
  acted: AlertState.ACTED,
  resolved: AlertState.RESOLVED,
  muted: AlertState.MUTED,
};

/** The alert as events and answers carry it. */
export function toAlert(row: AlertRow): Alert {
  return {
    project: row.project,
    alertId: row.alert_id,
    model: row.model,
    version: row.version,
    kind: row.kind,
    state: STATE[row.state],
    subject: row.subject,
    metric: row.metric,
    value: row.value,
    threshold: row.threshold,
    samples: row.samples,
    sentence: row.sentence,
    raisedAt: new Date(row.raised_ms),
    changedAt: new Date(row.changed_ms),
    requestId: row.request_id,
    examplePredictionIds: [...row.examples],
    groups: row.groups.map(([value, counts]) => toGroupReport(value, counts)),
  };
}

/** Rates without a denominator are NaN: unknown, not 0. */
export function toGroupReport(value: string, counts: Confusion): GroupReport {
  return {
    value,
    predictions: decisions(counts),
    labelled: counts.tp + counts.fp + counts.tn + counts.fn,
    positives: counts.tp + counts.fn,
    accuracy: rateOf(counts, 'accuracy').value,
    selectionRate: rateOf(counts, 'selectionRate').value,
    truePositiveRate: rateOf(counts, 'truePositiveRate').value,
    falsePositiveRate: rateOf(counts, 'falsePositiveRate').value,
  };
}
