import { encodePredictRequest } from '@headrace/codec/predict-request';
import { decodePredictResponse } from '@headrace/codec/predict-response';
import { ProtoWriter } from '@headrace/codec/writer';
import type { AppError } from '@headrace/base/errors';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Admission } from '../domain/admission.js';
import { BatchLane } from '../domain/batch-lane.js';
import type { FeatureBlock } from '@headrace/executor/feature-block';
import { compileInputPlan } from '@headrace/executor/input-plan';
import type { ModelSession } from '@headrace/executor/model-session';
import { LoadedModel } from '../domain/loaded-model.js';
import { ModelStatistics } from '../domain/model-statistics.js';
import type { PredictJob, PredictReplies, ServedModel } from '../domain/predict-job.js';
import { PredictionIds } from '../domain/prediction-ids.js';
import { RoutingTable } from '../domain/routing-table.js';
import { OnnxModel } from '@headrace/executor/onnx-model';
import { directBinding, openOnnx } from '@headrace/executor/onnx-runtime';
import { Predictor } from './predictor.js';
import { RouteFinder } from './route-finder.js';

const plan = compileInputPlan(
  ['a', 'b', 'c'].map((name) => ({ name, reference: `v:${name}`, type: 'float64' })),
  [],
);
const LANE_ROWS = 8;

/** Runs are counted; a row with a = 666 makes the runtime throw. */
class SumSession implements ModelSession {
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
}

class Replies implements PredictReplies {
  readonly answers = new Map<number, ReturnType<typeof decodePredictResponse> | AppError>();
  readonly gone = new Set<number>();

  ok(reply: number, bytes: Uint8Array, start: number, end: number): void {
    this.#once(reply, decodePredictResponse(bytes, start, end));
  }

  fail(reply: number, error: AppError): void {
    this.#once(reply, error);
  }

  isGone = (reply: number): boolean => this.gone.has(reply);
  traceparentOf = (): string => '';

  #once(reply: number, answer: ReturnType<typeof decodePredictResponse> | AppError): void {
    if (this.answers.has(reply)) throw new Error(`call ${reply} was answered twice`);
    this.answers.set(reply, answer);
  }
}

function setUp(session: ModelSession, requestsMax = 100) {
  const routes = new RouteFinder();
  const model: ServedModel = new LoadedModel<PredictJob>('default', 'm', 1, '', new ModelStatistics('default', 'm', 1));
  model.step('start');
  model.stand({ session, lane: new BatchLane(plan, LANE_ROWS), plan, threshold: 0.5, lookup: undefined, missingFeatures: 'null' });
  model.step('routed');
  routes.table = RoutingTable.empty<ServedModel>().withChampion(model);
  const ignore = (): undefined => undefined;
  const predictor = new Predictor({
    routes,
    admission: new Admission(requestsMax, 10_000),
    ids: new PredictionIds(new Uint8Array(5)),
    store: { getBuffers: () => Promise.reject(new Error('not asked')) },
    log: { append: ignore },
    unrouted: new ModelStatistics('', '', 0),
    lookedUp: ignore,
    refreshViews: () => Promise.resolve(false),
    nowMs: () => 1_000,
  });
  const replies = new Replies();
  const writer = new ProtoWriter();
  const submit = (reply: number, dense: number[], deadlineMs = Infinity): void => {
    encodePredictRequest({ model: 'm', dense: Float32Array.from(dense) }, writer.reset());
    const bytes = writer.finish();
    predictor.submit(bytes, 0, bytes.length, reply, deadlineMs, replies);
    // The transport's buffer is not ours after the call.
    bytes.fill(0xff);
  };
  return { predictor, routes, model, replies, submit };
}

const scoresOf = (answer: ReturnType<typeof decodePredictResponse> | AppError | undefined): number[] =>
  answer && 'scores' in answer ? [...answer.scores] : [];

describe('predictor', () => {
  it('answers all requests of a tick by as few native runs as the bound of a batch allows', () => {
    const session = new SumSession();
    const { predictor, replies, submit } = setUp(session);
    for (let i = 0; i < 20; i++) submit(i, [i, 1, 0]);
    predictor.tick();
    expect(session.runs).toEqual([8, 8, 4]);
    for (let i = 0; i < 20; i++) expect(scoresOf(replies.answers.get(i))).toEqual([i + 1]);
    expect(predictor.inFlight).toBe(0);
  });

  it('fails only the request that the runtime refuses; its neighbours of the batch are answered', () => {
    const { predictor, replies, submit } = setUp(new SumSession());
    submit(0, [1, 0, 0]);
    submit(1, [666, 0, 0]);
    submit(2, [2, 0, 0, 3, 0, 0]);
    predictor.tick();
    expect(replies.answers.get(1)).toMatchObject({ code: 'INTERNAL' });
    expect(scoresOf(replies.answers.get(0))).toEqual([1]);
    expect(scoresOf(replies.answers.get(2))).toEqual([2, 3]);
  });

  it('refuses past its bound at once, bytes that are no message, and late requests, without a run', () => {
    const session = new SumSession();
    const { predictor, replies, submit } = setUp(session, 2);
    submit(0, [1, 0, 0]);
    submit(1, [1, 0, 0]);
    submit(2, [1, 0, 0]);
    expect(replies.answers.get(2)).toMatchObject({ code: 'OVERLOADED' });
    predictor.submit(Uint8Array.of(0x22, 0x7f), 0, 2, 3, Infinity, replies);
    expect(replies.answers.get(3)).toMatchObject({ code: 'REQUEST_INVALID' });
    submit(4, [1, 0, 0], 999);
    expect(replies.answers.get(4)).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(session.runs).toEqual([]);
    predictor.tick();
    expect(session.runs).toEqual([2]);
  });

  it('lets a retired version answer what it was routed, then releases it, once', async () => {
    const session = new SumSession();
    const { predictor, routes, model, replies, submit } = setUp(session);
    submit(0, [1, 0, 0]);
    submit(1, new Array<number>(60).fill(1));
    routes.table = routes.table.without(model);
    let drained = 0;
    model.retire(() => drained++);
    submit(2, [1, 0, 0]);
    expect(replies.answers.get(2)).toMatchObject({ code: 'MODEL_NOT_LOADED' });
    predictor.tick();
    expect([session.released, drained]).toEqual([0, 0]);
    await predictor.drain(1_000);
    expect(scoresOf(replies.answers.get(0))).toEqual([1]);
    expect(scoresOf(replies.answers.get(1))).toEqual(new Array(20).fill(3));
    expect([session.released, drained, model.state]).toEqual([1, 1, 'unloaded']);
  });

  it('gives a large request up between slices when its caller has gone', async () => {
    const session = new SumSession();
    const { predictor, replies, submit } = setUp(session);
    submit(0, new Array<number>(3 * 100).fill(1));
    predictor.tick();
    await new Promise((resolve) => setImmediate(resolve));
    replies.gone.add(0);
    await predictor.drain(1_000);
    expect(replies.answers.get(0)).toMatchObject({ code: 'CANCELLED' });
    expect(session.runs.length).toBeLessThan(13);
  });

  it.each([true, false])('answers the same through the direct binding and through the public API (direct: %s)', async (isDirect) => {
    expect(directBinding).toMatchObject({ reason: '' });
    const bytes = readFileSync(new URL('../../test/fixtures/logistic.onnx', import.meta.url));
    const session = await openOnnx(bytes, isDirect);
    expect(session.kind).toBe(isDirect ? 'direct' : 'public');
    const { predictor, replies, submit } = setUp(new OnnxModel(session, plan, 'm/1'));
    for (let i = 0; i < 40; i++) {
      submit(i, [i / 10, 1, -1]);
      // Rows of the next tick come while the public API still reads the last batch.
      if (i % 5 === 0) predictor.tick();
    }
    predictor.tick();
    await predictor.drain(5_000);
    for (let i = 0; i < 40; i++)
      expect(scoresOf(replies.answers.get(i))[0]).toBeCloseTo(1 / (1 + Math.exp(-(0.05 * i - 0.25 - 1 + 0.123456789))), 5);
    session.release();
  });
});
