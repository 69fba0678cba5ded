import { Log } from '@headrace/platform/log';
import { Telemetry as PlatformTelemetry } from '@headrace/platform/telemetry';
import { Injectable } from '@nestjs/common';
import type { Finding } from './domain/finding.js';
import type { AlertRow } from './io/alerts.js';

/** Fates of a logged prediction and of a label. Each that came has exactly one; `parked` and `pending` have a second when the wait ends. */
export type PredictionFate = 'counted' | 'repeated' | 'expired' | 'parked' | 'refused';
export type OutcomeFate = 'joined' | 'repeated' | 'corrected' | 'outdated' | 'pending' | 'refused' | 'expired';

/** Business facts of the monitor. */
@Injectable()
export class Telemetry {
  readonly #predictions;
  readonly #outcomes;
  readonly #pending;
  readonly #parked;
  readonly #ingestSeconds;
  readonly #judgeSeconds;
  readonly #judgements;
  readonly #failures;
  readonly #alertChanges;
  readonly #alerts;
  readonly #gap;
  readonly #drift;

  constructor(
    platform: PlatformTelemetry,
    private readonly log: Log,
  ) {
    this.#predictions = platform.counter({
      name: 'headrace_monitor_predictions_total',
      help: 'Logged predictions by what became of them',
      labels: ['fate'],
    });
    this.#outcomes = platform.counter({ name: 'headrace_monitor_outcomes_total', help: 'Labels by what became of them', labels: ['fate'] });
    this.#pending = platform.gauge({ name: 'headrace_monitor_pending_outcomes', help: 'Labels that wait for their prediction' });
    this.#parked = platform.gauge({
      name: 'headrace_monitor_parked_batches',
      help: 'Log batches that wait until the registry describes their version',
    });
    this.#ingestSeconds = platform.histogram({
      name: 'headrace_monitor_ingest_seconds',
      help: 'Time of one transaction of ingestion',
      labels: ['what'],
    });
    this.#judgeSeconds = platform.histogram({ name: 'headrace_monitor_evaluation_seconds', help: 'Time of one judgement of a version' });
    this.#judgements = platform.counter({
      name: 'headrace_monitor_findings_total',
      help: 'Findings of judgements that saw new data',
      labels: ['kind', 'verdict'],
    });
    this.#failures = platform.counter({
      name: 'headrace_monitor_evaluation_failures_total',
      help: 'Judgements that failed and are tried again',
    });
    this.#alertChanges = platform.counter({
      name: 'headrace_monitor_alert_changes_total',
      help: 'Alerts that entered a state',
      labels: ['kind', 'state'],
    });
    this.#alerts = platform.gauge({ name: 'headrace_monitor_alerts', help: 'Alerts by kind and state', labels: ['kind', 'state'] });
    this.#gap = platform.gauge({
      name: 'headrace_monitor_group_gap',
      help: 'Difference between groups in the last window',
      labels: ['project', 'model', 'version', 'attribute', 'metric'],
    });
    this.#drift = platform.gauge({
      name: 'headrace_monitor_drift',
      help: 'Effect size against training in the last window',
      labels: ['project', 'model', 'version', 'column', 'metric'],
    });
  }

  predictions(fate: PredictionFate, count: number): void {
    if (count > 0) this.#predictions.inc({ fate }, count);
  }

  outcomes(fate: OutcomeFate, count: number): void {
    if (count > 0) this.#outcomes.inc({ fate }, count);
  }

  ingested(what: 'predictions' | 'outcomes', rows: number, startedAt: number): void {
    const seconds = (performance.now() - startedAt) / 1000;
    this.#ingestSeconds.observe({ what }, seconds);
    this.log.debug('ingested', { what, rows, seconds });
  }

  backlog(pending: number, parked: number): void {
    this.#pending.set(pending);
    this.#parked.set(parked);
  }

  alertTotals(rows: readonly { readonly kind: string; readonly state: string; readonly n: number }[]): void {
    this.#alerts.reset();
    for (const { kind, state, n } of rows) this.#alerts.set({ kind, state }, n);
  }

  judged(
    at: { readonly project: string; readonly model: string; readonly version: number },
    findings: readonly Finding[],
    startedAt: number,
  ): void {
    this.#judgeSeconds.observe((performance.now() - startedAt) / 1000);
    for (const { kind, subject, metric, value, verdict } of findings) {
      this.#judgements.inc({ kind, verdict });
      if (Number.isNaN(value)) continue;
      const labels = { project: at.project, model: at.model, version: String(at.version), metric };
      if (kind === 'bias') this.#gap.set({ ...labels, attribute: subject }, value);
      if (kind === 'drift') this.#drift.set({ ...labels, column: subject }, value);
    }
  }

  judgementFailed(what: string, error: unknown): void {
    this.#failures.inc();
    this.log.error('judgement failed; it is tried again', { what, error });
  }

  alertChanged({ project, model, version, kind, subject, state, alert_id: alertId, sentence }: AlertRow): void {
    this.#alertChanges.inc({ kind, state });
    this.log.info('alert changed', { project, model, version, kind, subject, state, alertId, sentence });
  }

  retrainingWaits(alertId: string, reason: string): void {
    this.log.debug('alert may not ask for a retraining yet', { alertId, reason });
  }

  baselineUnusable(at: { readonly project: string; readonly model: string; readonly version: number }, reason: string): void {
    this.log.warn('the baseline of a version cannot be used; it is watched without drift', { ...at, reason });
  }

  registryAway(error: unknown): void {
    this.log.warn('the registry is away; unknown versions are parked', { error });
  }

  unparkingFailed(error: unknown): void {
    this.log.warn('parked batches could not be counted; they are tried again', { error });
  }

  swept(counts: Readonly<Record<string, number>>): void {
    if (Object.values(counts).some((n) => n > 0)) this.log.info('old rows removed', counts);
  }

  sweepFailed(error: unknown): void {
    this.log.warn('old rows could not be removed; the next sweep tries again', { error });
  }
}
