import { AppError, messageOf, toAppError } from '@headrace/base/errors';
import { ShortBytes } from '@headrace/codec/short-bytes';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import { scoresOutput } from '@headrace/executor/onnx-model';
import { joinRows, sliceRows, type Tensor } from '@headrace/executor/tensor';
import type { Admission } from '../domain/admission.js';
import type { ModelStatistics } from '../domain/model-statistics.js';
import type { LoggedJob, ServedModel } from '../domain/predict-job.js';
import type { PredictionIds } from '../domain/prediction-ids.js';
import { blockOf, scoresOf } from '../domain/tensor-form.js';
import { fitInputs, fitOutputs, type TensorAnswer, type TensorRequest } from '../domain/tensor-request.js';
import { nameOf } from '../domain/version-description.js';
import { REQUEST_ROWS_MAX } from './read-request.js';
import type { RouteFinder } from './route-finder.js';

/** Where the answer to one request goes; it is answered exactly once. */
export interface TensorCall {
  ok(answer: TensorAnswer): void;
  fail(error: AppError): void;
  /** The caller has gone; work for it would be waste. */
  isGone(): boolean;
  /** A header (or gRPC metadata) by its name in lower case; '' = none. */
  headerOf(name: string): string;
}

export interface TensorInferenceDependencies {
  readonly routes: RouteFinder;
  readonly admission: Admission;
  readonly ids: PredictionIds;
  readonly log: {
    append(job: LoggedJob, block: FeatureBlock, firstRow: number, scores: Float32Array, firstScore: number, nowMs: number): void;
  };
  /** Of requests that found no version. */
  readonly unrouted: ModelStatistics;
  /** ms since the epoch */
  readonly nowMs: () => number;
}

interface TensorJob {
  readonly call: TensorCall;
  readonly request: TensorRequest;
  readonly loaded: ServedModel;
  readonly arm: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly string[];
  readonly rows: number;
  /** What it counts as in the admission. */
  readonly weight: number;
  readonly predictionId: string;
  /** For the prediction log; undefined when Predict could not answer by this model. */
  readonly block: FeatureBlock | undefined;
  readonly startedAtMs: number;
  /** Answers of a large request so far, one list for each slice. */
  readonly slices: (readonly Tensor[])[];
  rowsDone: number;
}

/** Runs of one turn of the event loop; what is left waits for the next, so that predictions and other sockets are served in between. */
const TURN_MS = 2;
/** A tensor that is no matrix of rows counts in the admission by its size. */
const BYTES_OF_A_ROW = 1024;

/**
 * The whole story of a request that brings tensors: choose the version -> check every tensor against its graph -> admit and pin -> run -> answer,
 * log, unpin. Admission, pins, ids and the prediction log are those of Predict. Rows of several requests share a run where the version
 * answers row by row (Predict's contract, proven at load); every other graph runs for each request alone.
 */
export class TensorInference {
  readonly #deps: TensorInferenceDependencies;
  readonly #queues = new Map<ServedModel, TensorJob[]>();
  /** Versions with a run in a process of their own; one at a time, and what comes meanwhile shares the next. */
  readonly #away = new Set<ServedModel>();
  #isDue = false;

  constructor(dependencies: TensorInferenceDependencies) {
    this.#deps = dependencies;
  }

  /** Never throws: a bad request is answered by `call.fail`. Work begins in a later phase of the event loop, together with that of other calls. */
  submit(request: TensorRequest, call: TensorCall): void {
    let model: ServedModel | undefined;
    try {
      const route = this.#deps.routes.findNamed(request.project, request.model, request.version, request.id, (name) => call.headerOf(name));
      model = route.model;
      if (request.deadlineMs <= this.#deps.nowMs())
        throw new AppError('DEADLINE_EXCEEDED', 'the deadline had passed when the request came');
      this.#enqueue(this.#accept(request, call, route.model, route.arm));
    } catch (thrown) {
      const error = toAppError(thrown);
      (model?.statistics ?? this.#deps.unrouted).failed(error.code, 0);
      call.fail(error);
    }
  }

  #accept(request: TensorRequest, call: TensorCall, loaded: ServedModel, arm: string): TensorJob {
    const { tensors, isPredictable, plan } = loaded.parts;
    const inputs = fitInputs(request.inputs, tensors.inputs, nameOf(loaded));
    const outputs = fitOutputs(request.outputs, tensors.outputs, nameOf(loaded));
    const rows = isPredictable ? rowsOf(inputs, loaded) : 1;
    const block = isPredictable ? blockOf(plan, inputs, rows) : undefined;
    const bytes = inputs.reduce((sum, input) => sum + input.bytes.length + input.texts.length * 8, 0);
    const weight = Math.max(rows, Math.ceil(bytes / BYTES_OF_A_ROW));
    const { admission, ids, nowMs } = this.#deps;
    if (!admission.tryEnter(weight))
      throw new AppError('OVERLOADED', `${admission.requests} requests are inside, which is all that this process takes`);
    loaded.pin();
    const predictionId = isPredictable ? ids.next(nowMs()) : '';
    const startedAtMs = performance.now();
    return { call, request, loaded, arm, inputs, outputs, rows, weight, predictionId, block, startedAtMs, slices: [], rowsDone: 0 };
  }

  #enqueue(job: TensorJob): void {
    const queue = this.#queues.get(job.loaded);
    if (queue) queue.push(job);
    else this.#queues.set(job.loaded, [job]);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isDue || [...this.#queues.keys()].every((loaded) => this.#away.has(loaded))) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#runTurn();
    });
  }

  /** Models take turns, run by run; one that runs elsewhere makes no other wait. */
  #runTurn(): void {
    const until = performance.now() + TURN_MS;
    for (const [loaded, queue] of this.#queues) {
      if (this.#away.has(loaded)) continue;
      const running = this.#runNext(loaded, queue);
      this.#queues.delete(loaded);
      if (queue.length > 0 || running) this.#queues.set(loaded, queue);
      if (running) this.#await(loaded, queue, running);
      if (performance.now() >= until) break;
    }
    this.#schedule();
  }

  #await(loaded: ServedModel, queue: readonly TensorJob[], running: Promise<void>): void {
    this.#away.add(loaded);
    const done = (): void => {
      this.#away.delete(loaded);
      if (queue.length === 0) this.#queues.delete(loaded);
      this.#schedule();
    };
    running.then(done, rethrowLater);
  }

  /** One run: rows of the first jobs of the queue, or a slice of the first. Finished jobs leave the queue. */
  #runNext(loaded: ServedModel, queue: TensorJob[]): Promise<void> | void {
    while (queue.length > 0 && this.#isLate(queue[0]!)) queue.shift();
    const first = queue[0];
    if (!first) return;
    const { tensors, lane } = loaded.parts;
    const { isRowWise } = tensors;
    const { rowsMax } = lane;
    if (!isRowWise || first.rows > rowsMax) return this.#runAlone(first, queue, isRowWise ? rowsMax : first.rows);
    const jobs: TensorJob[] = [];
    let rows = 0;
    for (; queue.length > 0 && rows + queue[0]!.rows <= rowsMax; queue.shift()) {
      if (jobs.length > 0 && this.#isLate(queue[0]!)) continue;
      jobs.push(queue[0]!);
      rows += queue[0]!.rows;
    }
    return this.#runTogether(loaded, jobs, rows);
  }

  #runTogether(loaded: ServedModel, jobs: readonly TensorJob[], rows: number): Promise<void> | void {
    const { tensors } = loaded.parts;
    const begin = performance.now();
    const inputs = tensors.inputs.map((_, i) => joinRows(jobs.map((job) => job.inputs[i]!)));
    const names = [...new Set(jobs.flatMap(namesOf))];
    return this.#run(loaded, inputs, names, rows, begin, jobs.length, {
      done: (outputs) => {
        let row = 0;
        for (const job of jobs) {
          loaded.statistics.queue.observe((begin - job.startedAtMs) / 1000);
          this.#answer(
            job,
            outputs.map((output) => sliceRows(output, row, job.rows)),
          );
          row += job.rows;
        }
      },
      failed: async (error) => {
        // One request that the runtime refuses must not fail its neighbours: each runs again, alone. Other errors are nobody's rows.
        if (jobs.length === 1 || error.code !== 'INPUT_INVALID') for (const job of jobs) this.#refuse(job, error);
        else for (const job of jobs) await this.#runTogether(loaded, [job], job.rows);
      },
    });
  }

  /** A run for one request, or a slice of it. */
  #runAlone(job: TensorJob, queue: TensorJob[], rowsMax: number): Promise<void> | void {
    const begin = performance.now();
    const rows = Math.min(rowsMax, job.rows - job.rowsDone);
    const isWhole = rows === job.rows;
    const isFirst = job.rowsDone === 0;
    if (isFirst) job.loaded.statistics.queue.observe((begin - job.startedAtMs) / 1000);
    const inputs = isWhole ? job.inputs : job.inputs.map((input) => sliceRows(input, job.rowsDone, rows));
    return this.#run(job.loaded, inputs, namesOf(job), rows, begin, isFirst ? 1 : 0, {
      done: (outputs) => {
        job.slices.push(outputs);
        job.rowsDone += rows;
        if (job.rowsDone < job.rows) return;
        queue.shift();
        this.#answer(job, isWhole ? outputs : outputs.map((_, i) => joinRows(job.slices.map((slice) => slice[i]!))));
      },
      failed: (error) => {
        queue.shift();
        this.#refuse(job, error);
      },
    });
  }

  /** `outputs` come in the order of `names`. */
  #run(
    loaded: ServedModel,
    inputs: readonly Tensor[],
    names: readonly string[],
    rows: number,
    begin: number,
    requests: number,
    then: { done(outputs: readonly Tensor[]): void; failed(error: AppError): Promise<void> | void },
  ): Promise<void> | void {
    const { statistics } = loaded;
    const { tensors, watch } = loaded.parts;
    const startedAt = performance.now();
    const done = (outputs: readonly Tensor[]): Promise<void> | void => {
      if (tensors.isRowWise && outputs.some((output) => output.shape[0] !== rows))
        return failed(new Error(`${rows} row(s) went in, and another number came out`));
      const ranAt = performance.now();
      statistics.ran(rows, (ranAt - startedAt) / 1000);
      then.done(outputs);
      statistics.ranFor(requests, (startedAt - begin) / 1000, (ranAt - startedAt) / 1000, (performance.now() - ranAt) / 1000);
    };
    const failed = (error: unknown): Promise<void> | void => then.failed(runRefused(loaded, error));
    let outputs: readonly Tensor[] | Promise<readonly Tensor[]>;
    try {
      outputs = tensors.run(inputs, names);
    } catch (error) {
      return failed(error);
    }
    if (outputs instanceof Promise) return outputs.then(done, failed);
    watch.ranHere(rows, performance.now() - startedAt);
    return done(outputs);
  }

  /** `outputs` may hold more than was asked for. */
  #answer(job: TensorJob, outputs: readonly Tensor[]): void {
    const { loaded, rows, call, predictionId, block } = job;
    if (block) {
      const scores = scoresOf(outputs, rows);
      const unscored = scores.findIndex((score) => Number.isNaN(score));
      if (unscored >= 0)
        return this.#refuse(
          job,
          new AppError(
            'INPUT_INVALID',
            `row ${unscored}: ${nameOf(loaded)} gives no number for this row; it does not accept all of the missing values in it`,
          ),
        );
      // Logged first: what is asked of the call, such as its trace, is gone with its answer.
      this.#deps.log.append(logged(job), block, 0, scores, 0, this.#deps.nowMs());
    }
    const asked = job.outputs.map((name) => outputs.find((output) => output.name === name)!);
    call.ok({ id: job.request.id, model: loaded.model, version: loaded.version, predictionId, outputs: asked });
    loaded.statistics.answered(rows, this.#deps.nowMs());
    loaded.statistics.latency.observe((performance.now() - job.startedAtMs) / 1000);
    this.#end(job);
  }

  #refuse(job: TensorJob, error: AppError): void {
    job.loaded.statistics.failed(error.code, (performance.now() - job.startedAtMs) / 1000);
    job.call.fail(error);
    this.#end(job);
  }

  /** Work whose caller no longer waits is not begun; it is answered here. */
  #isLate(job: TensorJob): boolean {
    if (job.request.deadlineMs <= this.#deps.nowMs())
      this.#refuse(job, new AppError('DEADLINE_EXCEEDED', 'the deadline passed before the model ran'));
    else if (job.call.isGone()) this.#refuse(job, new AppError('CANCELLED', 'the caller has gone'));
    else return false;
    return true;
  }

  #end(job: TensorJob): void {
    this.#deps.admission.leave(job.weight);
    job.loaded.unpin();
  }
}

/** @throws AppError INPUT_INVALID for none, too many, or inputs that differ. */
function rowsOf(inputs: readonly Tensor[], loaded: ServedModel): number {
  const rows = inputs[0]!.shape[0]!;
  const other = inputs.find((input) => input.shape[0] !== rows);
  if (other)
    throw new AppError(
      'INPUT_INVALID',
      `input ${inputs[0]!.name} has ${rows} row(s), input ${other.name} has ${other.shape[0]!}; ${nameOf(loaded)} takes rows`,
    );
  if (rows === 0) throw new AppError('INPUT_INVALID', `the request for ${nameOf(loaded)} has no rows`);
  if (rows > REQUEST_ROWS_MAX)
    throw new AppError('INPUT_INVALID', `${rows} rows in one request; at most ${REQUEST_ROWS_MAX} are taken, split it`);
  return rows;
}

/** Scores are needed for the log, asked for or not. */
function namesOf(job: TensorJob): readonly string[] {
  if (!job.block) return job.outputs;
  const scores = scoresOutput(job.loaded.parts.tensors.outputs)!.name;
  return job.outputs.includes(scores) ? job.outputs : [...job.outputs, scores];
}

function logged({ loaded, arm, rows, predictionId, call }: TensorJob): LoggedJob {
  return {
    loaded,
    arm,
    rows,
    predictionId: ShortBytes.ofText(predictionId),
    entities: undefined,
    stale: undefined,
    reply: 0,
    replies: { headerOf: (_reply, name) => call.headerOf(name) },
  };
}

/** A defect of ours must end the process with its reason, as any uncaught one does. */
function rethrowLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

const REASON_LENGTH = 300;

/** Tensors fit the declared types and shapes by now; what else the graph asks of them (equal sizes, an index in range) only its run can tell. */
function runRefused(loaded: ServedModel, cause: unknown): AppError {
  // The session itself is away.
  if (cause instanceof AppError) return cause;
  return new AppError('INPUT_INVALID', `${nameOf(loaded)} cannot run on these tensors: ${messageOf(cause).slice(0, REASON_LENGTH)}`, {
    cause,
  });
}
