import { encodePredictRequest } from '@headrace/codec/predict-request';
import { ProtoWriter } from '@headrace/codec/writer';
import { AppError } from '@headrace/base/errors';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ServedModel } from '../domain/predict-job.js';
import { RoutingTable } from '../domain/routing-table.js';
import { OnnxModel } from '@headrace/executor/onnx-model';
import { directBinding, openOnnx } from '@headrace/executor/onnx-runtime';
import { plan, LANE_ROWS, SumSession, RemoteSession, standing, setUp, scoresOf } from '../../test/predictor-kit.js';

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

  it('keeps two runs in a remote session, and lets what comes meanwhile fill one batch', async () => {
    const session = new RemoteSession();
    const { predictor, replies, submit } = setUp(session);
    for (let i = 0; i < 7; i++) {
      submit(i, [i, 0, 0]);
      predictor.tick();
    }
    expect(session.runs).toEqual([1, 1]);
    await session.next();
    expect(session.runs).toEqual([1, 1, 5]);
    await session.next();
    await session.next();
    for (let i = 0; i < 7; i++) expect(scoresOf(replies.answers.get(i))).toEqual([i]);
    expect(predictor.inFlight).toBe(0);
  });

  it('does not run for callers that went while they waited for a remote session', async () => {
    const session = new RemoteSession();
    const { predictor, replies, submit } = setUp(session);
    for (let i = 0; i < 5; i++) {
      submit(i, [i, 0, 0]);
      predictor.tick();
    }
    replies.gone.add(3);
    replies.gone.add(4);
    replies.gone.add(2);
    await session.next();
    await session.next();
    expect(session.runs).toEqual([1, 1]);
    for (const i of [2, 3, 4]) expect(replies.answers.get(i)).toMatchObject({ code: 'CANCELLED' });
    expect(predictor.inFlight).toBe(0);
  });

  it('runs the requests of a batch that a remote session refuses one by one, and none when the session itself is away', async () => {
    const session = new RemoteSession();
    const { predictor, replies, submit } = setUp(session);
    submit(0, [1, 0, 0]);
    submit(1, [2, 0, 0]);
    predictor.tick();
    await session.next(new Error('the runtime refuses a row'));
    await session.next();
    await session.next(new Error('the runtime refuses this row'));
    expect(scoresOf(replies.answers.get(0))).toEqual([1]);
    expect(replies.answers.get(1)).toMatchObject({ code: 'INTERNAL' });
    submit(2, [1, 0, 0]);
    submit(3, [2, 0, 0]);
    predictor.tick();
    await session.next(new AppError('DEPENDENCY_UNAVAILABLE', 'the worker died twice'));
    expect(session.runs).toEqual([2, 1, 1, 2]);
    for (const i of [2, 3]) expect(replies.answers.get(i)).toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
  });

  it('names a version whose runs hold the event loop up, by their moving average and as long as it can be moved', () => {
    const session = new SumSession();
    const run = session.run.bind(session);
    session.run = (block, firstRow, rows) => {
      const end = performance.now() + 8;
      while (performance.now() < end);
      return run(block, firstRow, rows);
    };
    const { predictor, model, submit, tooSlow } = setUp(session);
    const ask = (from: number): void => {
      for (let i = from; i < from + 20; i++) {
        submit(i, [1, 0, 0]);
        predictor.tick();
      }
    };
    ask(0);
    expect(tooSlow).toEqual([]);
    model.parts.inWorker = () => Promise.resolve(Object.assign(session, { tensors: model.parts.tensors }));
    submit(100, [1, 0, 0]);
    predictor.tick();
    expect(tooSlow).toEqual([model]);
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

  it('lets requests of a model with a delay wait for each other, until the delay is over or the batch is full', () => {
    const session = new SumSession();
    const { predictor, replies, submit, advance } = setUp(session, 100, 5);
    submit(0, [1, 0, 0]);
    predictor.tick();
    advance(3);
    submit(1, [2, 0, 0]);
    predictor.tick();
    advance(1);
    expect(session.runs).toEqual([]);
    advance(1);
    expect(session.runs).toEqual([2]);
    expect([0, 1].map((reply) => scoresOf(replies.answers.get(reply)))).toEqual([[1], [2]]);
    for (let reply = 2; reply < 2 + LANE_ROWS; reply++) submit(reply, [1, 0, 0]);
    predictor.tick();
    expect(session.runs).toEqual([2, LANE_ROWS]);
    advance(100);
    expect([session.runs.length, predictor.inFlight]).toEqual([2, 0]);
  });

  it('runs a waiting batch before the first deadline in it, and again waits the whole delay for the next', () => {
    const session = new SumSession();
    const { predictor, submit, advance } = setUp(session, 100, 50);
    submit(0, [1, 0, 0]);
    submit(1, [1, 0, 0], 1_012);
    predictor.tick();
    advance(9);
    expect(session.runs).toEqual([]);
    advance(1);
    expect(session.runs).toEqual([2]);
    submit(2, [1, 0, 0]);
    predictor.tick();
    advance(49);
    expect(session.runs).toEqual([2]);
    advance(1);
    expect(session.runs).toEqual([2, 1]);
  });

  it('never starts work whose deadline passed or whose caller has gone while it waited; its neighbours keep their rows', () => {
    const session = new SumSession();
    const { predictor, replies, submit, clock } = setUp(session);
    submit(0, [1, 0, 0]);
    submit(1, [2, 0, 0], 1_005);
    submit(2, [3, 0, 0, 4, 0, 0]);
    submit(3, [5, 0, 0]);
    replies.gone.add(3);
    // The event loop stood still.
    clock.advance(10);
    predictor.tick();
    expect(session.runs).toEqual([3]);
    expect(replies.answers.get(1)).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(replies.answers.get(3)).toMatchObject({ code: 'CANCELLED' });
    expect([0, 2].map((reply) => scoresOf(replies.answers.get(reply)))).toEqual([[1], [3, 4]]);
    submit(4, [1, 0, 0], 1_011);
    clock.advance(10);
    predictor.tick();
    expect([session.runs.length, predictor.inFlight]).toEqual([1, 0]);
  });

  it('sheds requests of low priority first, and lets those of high priority in beyond the bound', () => {
    const { predictor, replies, submit } = setUp(new SumSession(), 4);
    const [normal, low, high] = [0, 1, 2];
    const ask = (reply: number, priority: number): string => {
      submit(reply, [1, 0, 0], Infinity, { priority });
      return replies.answers.has(reply) ? (replies.answers.get(reply) as AppError).code : 'inside';
    };
    expect([ask(0, low), ask(1, normal), ask(2, low), ask(3, normal), ask(4, normal)]).toEqual([
      'inside',
      'inside',
      'OVERLOADED',
      'inside',
      'inside',
    ]);
    expect([ask(5, normal), ask(6, high), ask(7, high)]).toEqual(['OVERLOADED', 'inside', 'OVERLOADED']);
    predictor.tick();
    expect(predictor.inFlight).toBe(0);
  });

  it('never takes one model for another whose request lies in the same memory', () => {
    const { predictor, routes, model, replies } = setUp(new SumSession());
    const other = standing(new SumSession(), 'n', 7);
    routes.table = RoutingTable.empty<ServedModel>().withChampion(model).withChampion(other);
    const writer = new ProtoWriter();
    const memory = Buffer.alloc(64);
    for (const [reply, name] of ['m', 'n', 'm', 'n'].entries()) {
      encodePredictRequest({ model: name, dense: Float32Array.of(1, 2, 3) }, writer.reset());
      memory.set(writer.finish());
      predictor.submit(memory, 0, writer.pos, reply, Infinity, replies);
    }
    predictor.tick();
    expect([0, 1, 2, 3].map((reply) => (replies.answers.get(reply) as { version: number }).version)).toEqual([1, 7, 1, 7]);
  });
});
