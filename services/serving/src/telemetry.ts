import { Log } from '@headrace/platform/log';
import { Telemetry as PlatformTelemetry } from '@headrace/platform/telemetry';
import { Injectable } from '@nestjs/common';
import type { LookupOutcome } from './app/look-up-features.js';
import type { RolloutStep } from './app/model-host.js';
import type { PredictMetrics } from './app/predictor.js';
import type { Admission } from './domain/admission.js';
import type { LogAccount } from './domain/log-account.js';
import type { ServedModel } from './domain/predict-job.js';

/** Seconds; predictions are faster than what the platform's buckets begin with. */
const LATENCY_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

interface ModelMetrics {
  readonly ok: { inc(value: number): void };
  readonly rows: { inc(value: number): void };
  readonly seconds: { observe(value: number): void };
}

/** Business facts and metrics of serving. Children of a version are bound once, so that a request looks nothing up. */
@Injectable()
export class Telemetry implements PredictMetrics {
  readonly #predictions;
  readonly #rows;
  readonly #seconds;
  readonly #batchRows;
  readonly #runSeconds;
  readonly #rollouts;
  readonly #swapSeconds;
  readonly #badBlobs;
  readonly #lostEvents;
  readonly #bound = new WeakMap<ServedModel, ModelMetrics>();

  constructor(
    private readonly platform: PlatformTelemetry,
    private readonly log: Log,
  ) {
    const labels = ['model', 'version'] as const;
    this.#predictions = platform.counter({
      name: 'headrace_serving_predictions_total',
      help: 'Answered requests by outcome: ok, or the error code',
      labels: [...labels, 'outcome'],
    });
    this.#rows = platform.counter({ name: 'headrace_serving_rows_total', help: 'Rows answered', labels });
    this.#seconds = platform.histogram({
      name: 'headrace_serving_predict_seconds',
      help: 'Time from the read request to its answer, without the transport',
      labels,
      buckets: LATENCY_BUCKETS,
    });
    this.#batchRows = platform.histogram({ name: 'headrace_serving_batch_rows', help: 'Rows of one native run', buckets: BATCH_BUCKETS });
    this.#runSeconds = platform.histogram({
      name: 'headrace_serving_run_seconds',
      help: 'Time of one native run',
      buckets: LATENCY_BUCKETS,
    });
    this.#rollouts = platform.counter({
      name: 'headrace_serving_rollouts_total',
      help: 'What became of versions here',
      labels: ['model', 'step'],
    });
    this.#swapSeconds = platform.histogram({
      name: 'headrace_serving_swap_seconds',
      help: 'Time from the decision for a version to its first routed request',
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

  answered(model: ServedModel, requests: number, rows: number): void {
    const bound = this.#of(model);
    bound.ok.inc(requests);
    bound.rows.inc(rows);
  }

  latency(model: ServedModel, seconds: number): void {
    this.#of(model).seconds.observe(seconds);
  }

  refused(model: ServedModel | undefined, code: string): void {
    // Names that a caller invented must not become labels without end.
    this.#predictions.inc({ model: model?.model ?? '', version: String(model?.version ?? ''), outcome: code });
  }

  batch(rows: number, seconds: number): void {
    this.#batchRows.observe(rows);
    this.#runSeconds.observe(seconds);
  }

  lookup({ unknownLayouts, corruptBlobs }: LookupOutcome): void {
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

  rolloutEventLost(): void {
    this.#lostEvents.inc();
  }

  /** Gauges that read the live objects when Prometheus asks. */
  watch(admission: Admission, account: LogAccount): void {
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

  #of(model: ServedModel): ModelMetrics {
    let bound = this.#bound.get(model);
    if (!bound) {
      const labels = { model: model.model, version: String(model.version) };
      bound = {
        ok: this.#predictions.labels({ ...labels, outcome: 'ok' }),
        rows: this.#rows.labels(labels),
        seconds: this.#seconds.labels(labels),
      };
      this.#bound.set(model, bound);
    }
    return bound;
  }
}
