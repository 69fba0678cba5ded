import { decodePredictResponse } from '@headrace/codec/predict-response';
import { ProtoWriter } from '@headrace/codec/writer';
import { type AppError } from '@headrace/base/errors';
import { BatchLane } from '../src/domain/batch-lane.js';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import { compileInputPlan } from '@headrace/executor/input-plan';
import type { ModelSession } from '@headrace/executor/model-session';
import type { TensorSession } from '@headrace/executor/tensor';
import { LoadedModel } from '../src/domain/loaded-model.js';
import { RunWatch, type Place } from '../src/domain/run-watch.js';
import { ModelStatistics } from '../src/domain/model-statistics.js';
import type { PredictJob, PredictReplies, ServedModel } from '../src/domain/predict-job.js';

export const plan = compileInputPlan(
  ['a', 'b', 'c'].map((name) => ({ name, reference: `v:${name}`, type: 'float64' })),
  [],
);
export const LANE_ROWS = 8;
/** Longest typical run on the event loop. */
export const INLINE_RUN_MS = 2;
export const NO_TENSORS: TensorSession = { inputs: [], outputs: [], isRowWise: false, run: () => [] };

/** Runs are counted; a row with a = 666 makes the runtime throw. */
export class SumSession implements ModelSession {
  readonly runs: number[] = [];
  released = 0;
  readonly #scores = new Float32Array(1_000);

  run(block: FeatureBlock, firstRow: number, rows: number): Float32Array {
    this.runs.push(rows);
    for (let i = 0; i < rows; i++) {
      const [a, b, c] = block.numbers.subarray((firstRow + i) * 3, (firstRow + i) * 3 + 3);
      if (a === 666) throw new Error('the runtime refuses this row');
      this.#scores[i] = a! + b! + c!;
    }
    return this.#scores;
  }

  release(): void {
    this.released++;
  }

  retire(): void {
    this.released++;
  }
}

/** Answers when the test says so, as a model in a process of its own does. */
export class RemoteSession implements ModelSession {
  readonly runs: number[] = [];
  readonly #waiting: { readonly scores: Float32Array; resolve(scores: Float32Array): void; reject(error: Error): void }[] = [];

  run(block: FeatureBlock, firstRow: number, rows: number): Promise<Float32Array> {
    this.runs.push(rows);
    const scores = new Float32Array(block.numbers.slice(firstRow * 3, (firstRow + rows) * 3).filter((_, i) => i % 3 === 0));
    return new Promise((resolve, reject) => this.#waiting.push({ scores, resolve, reject }));
  }

  async next(failure?: Error): Promise<void> {
    const { scores, resolve, reject } = this.#waiting.shift()!;
    if (failure) reject(failure);
    else resolve(scores);
    await new Promise((done) => setImmediate(done));
  }

  release(): void {
    return undefined;
  }

  retire(): void {
    return undefined;
  }
}

export class Replies implements PredictReplies {
  readonly answers = new Map<number, ReturnType<typeof decodePredictResponse> | AppError>();
  readonly gone = new Set<number>();
  /** Of all calls. */
  headers: Record<string, string> = {};

  ok<T>(reply: number, encode: (value: T, writer: ProtoWriter) => void, value: T): void {
    const writer = new ProtoWriter();
    encode(value, writer);
    this.#once(reply, decodePredictResponse(writer.finish()));
  }

  fail(reply: number, error: AppError): void {
    this.#once(reply, error);
  }

  /** How many answers there were at each flush. */
  readonly flushes: number[] = [];

  flush(): void {
    this.flushes.push(this.answers.size);
  }

  isGone = (reply: number): boolean => this.gone.has(reply);
  headerOf = (_: number, name: string): string => this.headers[name] ?? '';

  #once(reply: number, answer: ReturnType<typeof decodePredictResponse> | AppError): void {
    if (this.answers.has(reply)) throw new Error(`call ${reply} was answered twice`);
    this.answers.set(reply, answer);
  }
}

/** Its thread has the processor all the time. */
export function standing(
  session: ModelSession,
  name = 'm',
  version = 1,
  delayMs = 0,
  place: Place = 'here',
  rowsMax = LANE_ROWS,
): ServedModel {
  const model: ServedModel = new LoadedModel<PredictJob>('default', name, version, '', new ModelStatistics('default', name, version));
  model.step('start');
  model.stand({
    session,
    tensors: NO_TENSORS,
    watch: new RunWatch(place, INLINE_RUN_MS, () => performance.now()),
    runtime: { name: 'onnxruntime', reason: '' },
    open: () => Promise.reject(new Error('nowhere to go')),
    isPredictable: true,
    lane: new BatchLane(plan, rowsMax, delayMs),
    plan,
    threshold: 0.5,
    lookup: undefined,
    missingFeatures: 'null',
    defaults: [],
  });
  model.step('routed');
  return model;
}
