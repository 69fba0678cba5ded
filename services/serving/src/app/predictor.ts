import { AppError, toAppError } from '@headrace/base/errors';
import { encodeAnswerer, encodePredictResponse, type PredictResponseFields } from '@headrace/codec/predict-response';
import { PredictRequestView } from '@headrace/codec/predict-request';
import { ShortBytes } from '@headrace/codec/short-bytes';
import type { Admission, Priority } from '../domain/admission.js';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import type { ModelStatistics } from '../domain/model-statistics.js';
import { outputColumns } from '../domain/predict-outputs.js';
import type { PredictionIds } from '../domain/prediction-ids.js';
import type { ShadowBook } from '../domain/shadow-statistics.js';
import { nameOf } from '../domain/version-description.js';
import { BatchRunner } from './batch-runner.js';
import { TurnClock } from './turn-clock.js';
import { lookUpFeatures, type LookupOutcome, type OnlineStore } from './look-up-features.js';
import { PredictJob, type PredictReplies, type ServedModel } from '../domain/predict-job.js';
import { clearBlock, copyDense, countRows, overlay, readIntoBlock } from './read-request.js';
import type { RouteFinder } from './route-finder.js';
import { ShadowTraffic, type ShadowCopy } from './shadow-traffic.js';

/** Longer ids are an attack on the log; the monitor takes 200, with the number of the row and the mark of a shadow behind. */
const PREDICTION_ID_MAX = 180;
/** Priority of the proto -> of admission; what is not known is normal. */
const PRIORITIES: readonly Priority[] = ['normal', 'low', 'high'];

export interface PredictorDependencies {
  readonly routes: RouteFinder;
  readonly admission: Admission;
  readonly ids: PredictionIds;
  readonly store: OnlineStore;
  readonly log: {
    append(job: PredictJob, block: FeatureBlock, firstRow: number, scores: Float32Array, firstScore: number, nowMs: number): void;
  };
  /** Of requests that found no version. */
  readonly unrouted: ModelStatistics;
  readonly shadows: ShadowBook;
  readonly lookedUp: (outcome: LookupOutcome) => void;
  /** Told when blobs could not be read; resolves when a newer layout of the views is known, or at once when there is none. */
  readonly refreshViews: (projects: ReadonlySet<string>) => Promise<boolean>;
  /** ms since the epoch */
  readonly nowMs: () => number;
  readonly after: (delayMs: number, ring: () => void) => void;
}

/**
 * The whole story of a prediction: admit -> choose the version and pin it -> read the rows to where the model wants them ->
 * look features up -> run the batch -> answer -> log -> unpin. `submit` for each request, `tick` once an event-loop turn in which
 * requests came; all work of a turn shares one native run per version and one round trip to Redis. Knows no transport.
 */
export class Predictor {
  readonly #deps: PredictorDependencies;
  readonly #view = new PredictRequestView();
  readonly #pool: PredictJob[] = [];
  /** The answer being written; one object for all. */
  readonly #fields: Mutable<PredictResponseFields> = {
    answerer: new ShortBytes(),
    predictionId: new ShortBytes(),
    rows: 0,
    firstScore: 0,
    scores: new Float32Array(0),
    threshold: 0,
    featureTimes: undefined,
    stale: undefined,
    outputs: undefined,
  };
  /** Whose `#fields.answerer` it is. */
  #answerer: { readonly loaded: ServedModel | undefined; readonly arm: string } = { loaded: undefined, arm: '' };
  #waiting: PredictJob[] = [];
  readonly #runner: BatchRunner;
  readonly #turn: TurnClock;
  readonly #shadows: ShadowTraffic;

  constructor(dependencies: PredictorDependencies) {
    this.#deps = dependencies;
    this.#turn = new TurnClock(dependencies.nowMs);
    this.#shadows = new ShadowTraffic(dependencies.shadows, (copies) => this.#acceptShadows(copies));
    this.#runner = new BatchRunner(
      {
        answer: (job, block, firstRow, scores, firstScore, nowMs) => this.#answer(job, block, firstRow, scores, firstScore, nowMs),
        refuse: (job, error) => this.#refuse(job, error),
        isLate: (job, nowMs) => this.#isLate(job, nowMs),
      },
      { nowMs: dependencies.nowMs, after: dependencies.after },
    );
  }

  get inFlight(): number {
    return this.#deps.admission.requests;
  }

  /** The bytes are read before the return. Never throws: a bad request is answered by `replies.fail`. */
  submit(bytes: Uint8Array, start: number, end: number, reply: number, deadlineMs: number, replies: PredictReplies): void {
    let model: ServedModel | undefined;
    try {
      const view = this.#view.read(bytes, start, end);
      const { arm, shadow, model: found } = this.#deps.routes.find(view, replies, reply);
      model = found;
      if (deadlineMs <= this.#turn.nowMs) throw new AppError('DEADLINE_EXCEEDED', 'the deadline had passed when the request came');
      const job = this.#take(replies, reply, deadlineMs);
      job.arm = arm;
      this.#accept(view, found, job, '');
      if (shadow) this.#shadows.copy(view, job, shadow);
      if (this.#runner.runEarly(found)) replies.flush();
    } catch (thrown) {
      const error = toAppError(thrown);
      (model?.statistics ?? this.#deps.unrouted).failed(error.code, 0);
      replies.fail(reply, error);
    }
  }

  /** Runs what came since the last tick. */
  tick(): void {
    if (this.#waiting.length > 0) {
      const jobs = this.#waiting;
      this.#waiting = [];
      void this.#lookUp(jobs);
    }
    this.#runner.run();
    this.#turn.end();
  }

  /** Resolves when every request that is inside has its answer, or after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void> {
    this.#shadows.stop();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#deps.admission.whenIdle(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #take(replies: PredictReplies, reply: number, deadlineMs: number): PredictJob {
    const job = this.#pool.pop() ?? new PredictJob();
    job.replies = replies;
    job.reply = reply;
    job.deadlineMs = deadlineMs;
    job.startedAtMs = this.#turn.startedAtMs;
    return job;
  }

  /** @param predictionId '' = that of the request, or a new one. @throws AppError when the request is refused; the job is recycled then. */
  #accept(view: PredictRequestView, model: ServedModel, job: PredictJob, predictionId: string): void {
    const { lane, plan } = model.parts;
    try {
      const rows = countRows(view, model);
      const isPlain = rows > 0 && view.columnCount === 0 && view.entityCount === 0 && view.outputCount === 0 && plan.texts.length === 0;
      job.rows = rows;
      if (!isPlain) readIntoBlock(view, model, job);
      if (!this.#deps.admission.tryEnter(job.rows, job.isShadow ? 'shadow' : (PRIORITIES[view.priority] ?? 'normal')))
        throw new AppError('OVERLOADED', `${this.inFlight} requests are inside, which is all that this process takes`);
      try {
        if (predictionId !== '') job.predictionId.setText(predictionId);
        else this.#name(job, view);
        const isDirect = isPlain && rows <= lane.rowsMax;
        if (isDirect) this.#intoLane(view, model, job);
        else if (isPlain) readIntoBlock(view, model, job);
      } catch (error) {
        this.#deps.admission.leave(job.rows);
        throw error;
      }
    } catch (error) {
      this.#recycle(job);
      throw error;
    }
    job.loaded = model;
    model.pin();
    if (!job.block) this.#runner.add(job);
    else if (job.entities) this.#waiting.push(job);
    else this.#ready(job);
  }

  /** Copies of requests whose callers have, or will have, the answer of another version. */
  #acceptShadows(copies: readonly ShadowCopy[]): void {
    for (const { bytes, version, pair, predictionId } of copies) {
      const job = this.#take(pair, 0, Infinity);
      job.arm = 'shadow';
      job.pair = pair;
      job.isShadow = true;
      try {
        this.#accept(this.#view.read(bytes), version, job, predictionId);
      } catch (thrown) {
        const { code } = toAppError(thrown);
        if (code === 'OVERLOADED') pair.skip();
        else pair.failed('shadow', code);
      }
    }
    this.tick();
  }

  /** The hot case: the floats go from the receive buffer into the batch matrix. Added to the lane by the caller, after the last check. */
  #intoLane(view: PredictRequestView, model: ServedModel, job: PredictJob): void {
    const { lane } = model.parts;
    if (!lane.hasRoom(job.rows)) this.#runner.runLane(model);
    const row = lane.waitingRows;
    lane.block.clearBeside(row, job.rows);
    copyDense(view, model, lane.block.numbers, row * lane.block.width);
  }

  /** All values of the job stand in its own block, but for what the request says itself. */
  #ready(job: PredictJob): void {
    overlay(job);
    const { lane } = job.loaded.parts;
    if (job.rows > lane.rowsMax || job.outputs.length > 0) return this.#runner.addLarge(job);
    if (!lane.hasRoom(job.rows)) this.#runner.runLane(job.loaded);
    lane.block.copyFrom(job.block!, 0, lane.waitingRows, job.rows);
    this.#runner.add(job);
  }

  async #lookUp(jobs: PredictJob[]): Promise<void> {
    const refuse = (job: PredictJob, error: AppError): void => this.#refuse(job, error);
    const alive = jobs.filter((job) => !this.#isLate(job, this.#deps.nowMs()));
    let { ready, outcome } = await lookUpFeatures(alive, this.#deps.store, this.#deps.nowMs, refuse);
    this.#deps.lookedUp(outcome);
    if (outcome.unknownLayouts > 0 && (await this.#deps.refreshViews(new Set(ready.map((job) => job.loaded.project))))) {
      for (const job of ready) clearBlock(job);
      ({ ready, outcome } = await lookUpFeatures(ready, this.#deps.store, this.#deps.nowMs, refuse));
    }
    const nowMs = this.#deps.nowMs();
    for (const job of ready) if (!this.#isLate(job, nowMs)) this.#ready(job);
    this.#runner.run();
  }

  #answer(job: PredictJob, block: FeatureBlock, firstRow: number, scores: Float32Array, firstScore: number, nowMs: number): boolean {
    const { loaded, rows } = job;
    for (let i = 0; i < rows; i++) {
      if (scores[firstScore + i]! === scores[firstScore + i]!) continue;
      const why = `row ${i}: ${nameOf(loaded)} gives no number for this row; it does not accept all of the missing values in it`;
      this.#refuse(job, new AppError('INPUT_INVALID', why));
      return false;
    }
    if (job.pair) {
      const seconds = (performance.now() - job.startedAtMs) / 1000;
      job.pair.scored(job.isShadow ? 'shadow' : 'primary', scores, firstScore, rows, loaded.parts.threshold, seconds);
    }
    // Logged first: what is asked of the call, such as its trace, is gone with its answer.
    this.#deps.log.append(job, block, firstRow, scores, firstScore, nowMs);
    const isCounted = !job.isShadow;
    if (isCounted) {
      this.#reply(job, scores, firstScore);
      loaded.statistics.answered(rows, nowMs);
    }
    this.#end(job);
    return isCounted;
  }

  #reply(job: PredictJob, scores: Float32Array, firstScore: number): void {
    const fields = this.#fields;
    if (job.loaded !== this.#answerer.loaded || job.arm !== this.#answerer.arm) this.#standFor(job);
    fields.predictionId = job.predictionId;
    fields.rows = job.rows;
    fields.firstScore = firstScore;
    fields.scores = scores;
    fields.threshold = job.loaded.parts.threshold;
    fields.featureTimes = job.featureTimes;
    fields.stale = job.stale;
    fields.outputs = job.outputs.length > 0 ? outputColumns(job) : undefined;
    job.replies.ok(job.reply, encodePredictResponse, fields);
  }

  /** Answers of one version come together, so that its name is encoded once for many. */
  #standFor({ loaded, arm }: PredictJob): void {
    this.#answerer = { loaded, arm };
    this.#fields.answerer = encodeAnswerer({ model: loaded.model, version: loaded.version, arm });
  }

  #refuse(job: PredictJob, error: AppError): void {
    job.pair?.failed(job.isShadow ? 'shadow' : 'primary', error.code);
    if (!job.isShadow) {
      job.loaded.statistics.failed(error.code, (performance.now() - job.startedAtMs) / 1000);
      job.replies.fail(job.reply, error);
    }
    this.#end(job);
  }

  /** Work whose caller no longer waits is not begun; it is answered here. */
  #isLate(job: PredictJob, nowMs: number): boolean {
    if (job.deadlineMs <= nowMs) this.#refuse(job, new AppError('DEADLINE_EXCEEDED', 'the deadline passed before the model ran'));
    else if (job.replies.isGone(job.reply)) this.#refuse(job, new AppError('CANCELLED', 'the caller has gone'));
    else return false;
    return true;
  }

  #end(job: PredictJob): void {
    const { loaded, rows } = job;
    this.#recycle(job);
    this.#deps.admission.leave(rows);
    loaded.unpin();
  }

  #recycle(job: PredictJob): void {
    job.reset();
    if (this.#pool.length < this.#deps.admission.requestsMax) this.#pool.push(job);
  }

  /** By the caller's id, or by a new one. */
  #name(job: PredictJob, view: PredictRequestView): void {
    const bytes = view.idEnd - view.idStart;
    if (bytes === 0) return this.#deps.ids.nextInto(this.#turn.nowMs, job.predictionId);
    if (bytes > PREDICTION_ID_MAX && view.predictionId.length > PREDICTION_ID_MAX)
      throw new AppError(
        'INPUT_INVALID',
        `the prediction id has ${view.predictionId.length} characters; at most ${PREDICTION_ID_MAX} are taken`,
      );
    view.copyPredictionId(job.predictionId);
  }
}

type Mutable<T> = { -readonly [P in keyof T]: T[P] };
