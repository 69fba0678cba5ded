import { Inject, Injectable } from '@nestjs/common';
import type { Clock } from '@headrace/base/clock';
import { CLOCK } from '@headrace/platform/platform-module';
import { LATENCY_BUCKETS, Telemetry } from '@headrace/platform/telemetry';
import { UsageCounts } from './domain/usage.js';

/** A second to half a year: the event time of a row may be long ago. */
const AGE_BUCKETS = [0.1, 1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800, 2_592_000, 15_552_000];
const FRESHNESS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** The business facts of this service as metrics. Labels: views are few and named by people. */
@Injectable()
export class FeatureTelemetry {
  /** Who is read how often, until app/feature-usage.ts stores it. */
  readonly usage = new UsageCounts();
  readonly #rows;
  readonly #duplicates;
  readonly #quarantined;
  readonly #batchSeconds;
  readonly #batchRows;
  readonly #publishToReadable;
  readonly #eventToReadable;
  readonly #onlineSeconds;
  readonly #onlineValues;
  readonly #unreadable;
  readonly #windows;
  readonly #windowConflicts;
  readonly #trainingSetRows;
  readonly #inspected;
  readonly #skew;
  readonly #young;
  readonly #burn;
  readonly #quality;
  readonly #retired;
  readonly #trainingSetSeconds;

  constructor(
    telemetry: Telemetry,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    const name = (what: string): string => `headrace_feature_store_${what}`;
    this.#rows = telemetry.counter({
      name: name('rows_total'),
      help: 'Rows by outcome: accepted, or the code of the refusal',
      labels: ['view', 'outcome'],
    });
    this.#duplicates = telemetry.counter({
      name: name('duplicate_rows_total'),
      help: 'Accepted rows that were stored already',
      labels: ['view'],
    });
    this.#quarantined = telemetry.counter({
      name: name('quarantined_rows_total'),
      help: 'Refused rows by the code of the refusal and the feature at fault (empty = none)',
      labels: ['view', 'code', 'feature'],
    });
    this.#batchSeconds = telemetry.histogram({
      name: name('ingest_batch_seconds'),
      help: 'Time to validate and store one batch in both stores',
    });
    this.#batchRows = telemetry.histogram({
      name: name('ingest_batch_rows'),
      help: 'Rows in one batch',
      buckets: [1, 10, 100, 1_000, 5_000, 10_000, 50_000, 100_000],
    });
    this.#windows = telemetry.counter({
      name: name('window_writes_total'),
      help: 'Window blobs written online',
      labels: ['view'],
    });
    this.#windowConflicts = telemetry.counter({
      name: name('window_conflicts_total'),
      help: 'Window blobs that another writer had changed meanwhile; they were made anew',
      labels: ['view'],
    });
    this.#publishToReadable = telemetry.histogram({
      name: name('freshness_seconds'),
      help: 'From publication of a row to its being readable online',
      labels: ['view'],
      buckets: FRESHNESS_BUCKETS,
    });
    this.#eventToReadable = telemetry.histogram({
      name: name('event_age_seconds'),
      help: 'From the event time of the newest row of an event to its being readable online',
      labels: ['view'],
      buckets: AGE_BUCKETS,
    });
    this.#onlineSeconds = telemetry.histogram({
      name: name('online_read_seconds'),
      help: 'Time of one round trip of online reads: those of one event-loop turn share it',
      buckets: LATENCY_BUCKETS,
    });
    this.#onlineValues = telemetry.counter({ name: name('online_values_total'), help: 'Values read online by status', labels: ['status'] });
    this.#unreadable = telemetry.counter({
      name: name('online_unreadable_total'),
      help: 'Online blobs of no known layout, read as missing',
      labels: ['view'],
    });
    this.#inspected = telemetry.counter({
      name: name('inspected_entities_total'),
      help: 'Sampled entities whose served values were recomputed from the offline store',
      labels: ['view'],
    });
    this.#skew = telemetry.counter({
      name: name('online_skew_total'),
      help: 'Served values that the offline store says otherwise: mismatch, missing or extra',
      labels: ['view', 'feature', 'kind'],
    });
    this.#young = telemetry.gauge({
      name: name('fresh_ratio'),
      help: 'Sampled entities younger than the maximal age of the objective, over its window',
      labels: ['view'],
    });
    this.#burn = telemetry.gauge({
      name: name('freshness_burn_rate'),
      help: 'Share of too old entities over the share that the objective allows',
      labels: ['view', 'window'],
    });
    this.#quality = telemetry.gauge({
      name: name('quality'),
      help: 'Distance of the newest judged window from its reference, over the limit of the view: above 1 the limit is passed',
      labels: ['view', 'feature', 'metric'],
    });
    this.#retired = telemetry.counter({
      name: name('retired_rows_total'),
      help: 'Rows of the history that were removed past the retention of their view',
      labels: ['view'],
    });
    this.#trainingSetRows = telemetry.counter({ name: name('training_set_rows_total'), help: 'Rows written to training sets' });
    this.#trainingSetSeconds = telemetry.histogram({
      name: name('training_set_seconds'),
      help: 'Time to build one training set',
      buckets: [0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1_800],
    });
  }

  rows(view: string, outcome: string, count: number): void {
    if (count > 0) this.#rows.inc({ view, outcome }, count);
  }

  duplicates(view: string, count: number): void {
    if (count > 0) this.#duplicates.inc({ view }, count);
  }

  quarantined(view: string, code: string, feature: string): void {
    this.#quarantined.inc({ view, code, feature });
  }

  windows(view: string, written: number, conflicts: number): void {
    if (written > 0) this.#windows.inc({ view }, written);
    if (conflicts > 0) this.#windowConflicts.inc({ view }, conflicts);
  }

  batch(rows: number, seconds: number): void {
    this.#batchRows.observe(rows);
    this.#batchSeconds.observe(seconds);
  }

  readable(view: string, publishedMs: number, newestEventMs: number): void {
    const nowMs = this.clock.nowMs();
    this.#publishToReadable.observe({ view }, Math.max(0, nowMs - publishedMs) / 1000);
    this.#eventToReadable.observe({ view }, Math.max(0, nowMs - newestEventMs) / 1000);
  }

  onlineRead(seconds: number, statuses: Readonly<Record<string, number>>): void {
    this.#onlineSeconds.observe(seconds);
    for (const [status, count] of Object.entries(statuses)) if (count > 0) this.#onlineValues.inc({ status }, count);
  }

  unreadable(view: string): void {
    this.#unreadable.inc({ view });
  }

  inspected(view: string, entities: number, skews: readonly { readonly feature: string; readonly kind: string }[]): void {
    this.#inspected.inc({ view }, entities);
    for (const { feature, kind } of skews) this.#skew.inc({ view, feature, kind });
  }

  freshness(
    view: string,
    measured: { readonly young: number; readonly sampled: number; readonly long: number; readonly short: number },
  ): void {
    if (measured.sampled > 0) this.#young.set({ view }, measured.young / measured.sampled);
    this.#burn.set({ view, window: 'long' }, measured.long);
    this.#burn.set({ view, window: 'short' }, measured.short);
  }

  quality(view: string, feature: string, metric: string, ofLimit: number): void {
    this.#quality.set({ view, feature, metric }, ofLimit);
  }

  retired(view: string, rows: number): void {
    this.#retired.inc({ view }, rows);
  }

  trainingSet(rows: number, seconds: number): void {
    this.#trainingSetRows.inc(rows);
    this.#trainingSetSeconds.observe(seconds);
  }
}
