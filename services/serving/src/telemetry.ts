import type { ServedModel } from './domain/predict-job.js';
import type { ScoreRuntime } from '@headrace/executor/onnx-runtime';
import { Log } from '@headrace/platform/log';
import { Telemetry as PlatformTelemetry } from '@headrace/platform/telemetry';
import { Injectable } from '@nestjs/common';
import type { LookupOutcome } from './app/look-up-features.js';
import type { RolloutStep } from './app/model-host.js';
import type { Move } from './app/run-places.js';
import type { Admission } from './domain/admission.js';
import type { LogAccount } from './domain/log-account.js';
import type { LogRules, RedactionRule } from './domain/log-rules.js';
import type { VersionDescription } from './domain/version-description.js';
import type { StatisticsBook } from './domain/model-statistics.js';
import type { ShadowBook } from './domain/shadow-statistics.js';
import { shadowMetrics, statisticsMetrics } from './io/statistics-metrics.js';

/** Business facts and metrics of serving. What a request counts stands in ModelStatistics; see statistics-metrics.ts. */
@Injectable()
export class Telemetry {
  readonly #rollouts;
  readonly #swapSeconds;
  readonly #opened;
  readonly #moves;
  readonly #badBlobs;
  readonly #lostEvents;

  constructor(
    private readonly platform: PlatformTelemetry,
    private readonly log: Log,
  ) {
    this.#rollouts = platform.counter({
      name: 'headrace_serving_rollouts_total',
      help: 'What became of versions here',
      labels: ['model', 'step'],
    });
    this.#swapSeconds = platform.histogram({
      name: 'headrace_serving_swap_seconds',
      help: 'Time from the decision for a version to its first routed request',
    });
    this.#opened = platform.counter({
      name: 'headrace_serving_opened_total',
      help: 'Versions that were opened, by what computes their scores: trees (our own walk), onnxruntime',
      labels: ['model', 'runtime'],
    });
    this.#moves = platform.counter({
      name: 'headrace_serving_moves_total',
      help: 'Versions that were moved between the event loop (here) and a process of their own (worker), by outcome: ok, or the error code',
      labels: ['model', 'to', 'outcome'],
    });
    this.#badBlobs = platform.counter({
      name: 'headrace_serving_unreadable_blobs_total',
      help: 'Online rows that could not be read and counted as missing',
      labels: ['reason'],
    });
    this.#lostEvents = platform.counter({
      name: 'headrace_serving_lost_rollout_events_total',
      help: 'Rollout events that never reached Kafka',
    });
  }

  lookedUp({ unknownLayouts, corruptBlobs }: LookupOutcome): void {
    if (unknownLayouts > 0) this.#badBlobs.inc({ reason: 'unknown layout' }, unknownLayouts);
    if (corruptBlobs > 0) this.#badBlobs.inc({ reason: 'corrupt' }, corruptBlobs);
  }

  rollout({ step, model, previousVersion, detail, seconds }: RolloutStep): void {
    this.#rollouts.inc({ model: model.model, step });
    if (seconds !== undefined) this.#swapSeconds.observe(seconds);
    const fields = {
      project: model.project,
      model: model.model,
      version: model.version,
      step,
      previousVersion,
      ...(detail ? { detail } : {}),
      ...(seconds === undefined ? {} : { seconds }),
    };
    if (step === 'failed') this.log.warn('version failed to load; the old one keeps serving', fields);
    else this.log.info(`version ${step}`, fields);
  }

  /** @param runtime with the reason why it is not the walk over trees */
  opened({ project, model, version }: VersionDescription, { name, reason }: ScoreRuntime): void {
    this.#opened.inc({ model, runtime: name });
    this.log.info('version opened', { project, model, version, runtime: name, ...(reason ? { noTreeWalkBecause: reason } : {}) });
  }

  moved({ project, model, version }: ServedModel, { to, figures, failure }: Move): void {
    this.#moves.inc({ model, to, outcome: failure ? failure.code : 'ok' });
    const { runs, rows, ms, boundMs } = figures;
    const fields = { project, model, version, to, runs, typicalRows: rows, typicalRunMs: ms, boundMs };
    const why = to === 'worker' ? 'is too slow for the event loop' : 'is quick enough for the event loop';
    if (failure) this.log.warn(`version ${why} and could not be moved`, { ...fields, error: failure.message });
    else this.log.info(`version ${why} and runs ${to === 'worker' ? 'in a process of its own' : 'on it'} now`, fields);
  }

  /** What the log will not hold of a version in clear. */
  logRules({ project, model, version }: VersionDescription, rules: LogRules | undefined): void {
    if (!rules || (rules.redacted.size === 0 && !rules.entity)) return;
    const columnsOf = (...kinds: RedactionRule['kind'][]): string =>
      [...rules.redacted].flatMap(([column, { kind }]) => (kinds.includes(kind) ? [column] : [])).join(', ');
    const fields = { project, model, version, omitted: columnsOf('omit'), hashed: columnsOf('hash'), entity: rules.entity?.kind ?? '' };
    this.log.info('the prediction log redacts columns', fields);
    const keyless = columnsOf('keyless');
    if (keyless !== '' || rules.entity?.kind === 'keyless')
      this.log.warn('columns are to be hashed and there is no key; they are omitted: set HEADRACE_PREDICTION_LOG_HASH_KEY', {
        ...{ project, model, version },
        ...{ columns: keyless, entity: rules.entity?.kind ?? '' },
      });
    const unknown = columnsOf('unknown');
    if (unknown !== '')
      this.log.warn('the feature store has not said yet what is personal; columns are omitted from the prediction log', {
        ...{ project, model, version, columns: unknown },
      });
  }

  rolloutEventLost(): void {
    this.#lostEvents.inc();
  }

  watchMemory(residentBytes: () => number): void {
    const gauge = this.platform.gauge({
      name: 'headrace_serving_models_bytes',
      help: 'Resident memory of all loaded versions, as their trials measured',
    });
    Object.assign(gauge, { collect: () => gauge.set(residentBytes()) });
  }

  /** Gauges that read the live objects when Prometheus asks. */
  watch(admission: Admission, account: LogAccount, statistics: StatisticsBook, shadows: ShadowBook): void {
    for (const metric of [...statisticsMetrics(statistics), ...shadowMetrics(shadows)]) this.platform.collected(metric);
    const inside = this.platform.gauge({ name: 'headrace_serving_inside', help: 'Work inside now, by unit', labels: ['unit'] });
    const log = this.platform.gauge({
      name: 'headrace_serving_prediction_log_rows',
      help: 'Account of the prediction log since the start: answered = logged + sampled_out + dropped + pending',
      labels: ['fate'],
    });
    const collect = (gauge: object, read: () => void): void => void Object.assign(gauge, { collect: read });
    collect(inside, () => {
      inside.set({ unit: 'requests' }, admission.requests);
      inside.set({ unit: 'rows' }, admission.rows);
    });
    collect(log, () => {
      for (const [fate, rows] of Object.entries({
        answered: account.answered,
        logged: account.logged,
        sampled_out: account.sampledOut,
        dropped: account.dropped,
        pending: account.pending,
      }))
        log.set({ fate }, rows);
    });
  }
}
