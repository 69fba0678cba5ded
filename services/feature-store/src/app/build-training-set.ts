import type { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { AppError } from '@headrace/base/errors';
import { SHA256_PATTERN } from '@headrace/base/ids';
import { featureReference } from '@headrace/definitions/reference';
import { Log } from '@headrace/platform/log';
import type { TrainingSetRecord, TrainingSetRequest } from '../domain/point-in-time-plan.js';
import { planTrainingSet } from '../domain/training-set-plan.js';
import { requestInvalid, trainingSetEmpty, trainingSetUnknown } from '../errors.js';
import { SnapshotFiles } from '../io/snapshot-files.js';
import { TrainingSetStore } from '../io/training-set-store.js';
import { FeatureTelemetry } from '../telemetry.js';
import { ViewCatalogue } from './view-catalogue.js';

/** Each build holds a connection and reads for long; more of them wait at the caller's, not here. */
const BUILDS_MAX = 4;

/** Point-in-time join into an immutable Parquet snapshot named by the hash of its bytes: equal rows, equal hash. */
@Injectable()
export class BuildTrainingSet {
  #running = 0;

  constructor(
    private readonly catalogue: ViewCatalogue,
    private readonly store: TrainingSetStore,
    private readonly files: SnapshotFiles,
    private readonly telemetry: FeatureTelemetry,
    private readonly log: Log,
  ) {}

  /** @throws AppError VIEW_UNKNOWN, REQUEST_INVALID, TRAINING_SET_EMPTY, OVERLOADED */
  async build(request: TrainingSetRequest, signal: AbortSignal): Promise<TrainingSetRecord> {
    check(request);
    if (this.#running >= BUILDS_MAX)
      throw new AppError('OVERLOADED', `${BUILDS_MAX} training sets are being built already; try again when one is done`);
    this.#running++;
    try {
      return await this.#build(request, signal);
    } finally {
      this.#running--;
    }
  }

  async find(project: string, hash: string): Promise<TrainingSetRecord> {
    const found = SHA256_PATTERN.test(hash) ? await this.store.find(project, hash) : undefined;
    if (!found) throw trainingSetUnknown(hash);
    return found;
  }

  /** The bytes of a snapshot. @throws AppError TRAINING_SET_UNKNOWN */
  async open(hash: string): Promise<{ stream: Readable; bytes: number }> {
    if (!SHA256_PATTERN.test(hash)) throw trainingSetUnknown(hash);
    return this.files.open(hash);
  }

  async #build(request: TrainingSetRequest, signal: AbortSignal): Promise<TrainingSetRecord> {
    const startedAt = performance.now();
    const views = await this.catalogue.newest();
    const plan = planTrainingSet(request, views);
    const snapshot = await this.files.write(plan.columns, plan.rows(this.store.rows(plan)), signal);
    if (!snapshot) throw trainingSetEmpty(request.labelView, request.fromMs, request.toMs);
    const { hash, rows, bytes } = snapshot;
    const record: TrainingSetRecord = {
      hash,
      rows,
      bytes,
      columns: plan.columns.map((c) => c.name),
      query: plan.sql,
      viewHashes: plan.viewHashes,
    };
    await this.store.save(request, record);
    const seconds = (performance.now() - startedAt) / 1000;
    this.telemetry.trainingSet(rows, seconds);
    this.log.info('training set built', { project: request.project, labelView: request.labelView, hash, rows, bytes, seconds });
    return record;
  }
}

function check({ features, featureService, fromMs, toMs, labelView, labelFeature }: TrainingSetRequest): void {
  if (!labelView || !labelFeature) throw requestInvalid('a training set needs `label_view` and `label_feature`');
  if (featureService && features.length > 0) throw requestInvalid('`features` and `feature_service` exclude each other; send one of them');
  if (!featureService && features.length === 0)
    throw requestInvalid('`features` is empty; name at least one `view:feature`, or a feature service');
  const bad = features.find((reference) => !featureReference.safeParse(reference).success);
  if (bad !== undefined) throw requestInvalid(`${JSON.stringify(bad)} is no feature reference; write \`view:feature\``);
  if (!(fromMs < toMs)) throw requestInvalid('`from` and `to` must both be given, and `from` must lie before `to`');
}
