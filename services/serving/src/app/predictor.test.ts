import { encodePredictRequest, type PredictRequestInput } from '@headrace/codec/predict-request';
import { type decodePredictResponse } from '@headrace/codec/predict-response';
import { ProtoWriter } from '@headrace/codec/writer';
import { AppError } from '@headrace/base/errors';
import { readFileSync } from 'node:fs';
import { FakeClock } from '@headrace/testkit/fake-clock';
import { describe, expect, it } from 'vitest';
import { Admission } from '../domain/admission.js';
import type { ModelSession } from '@headrace/executor/model-session';
import { ModelStatistics } from '../domain/model-statistics.js';
import type { ServedModel } from '../domain/predict-job.js';
import { PredictionIds } from '../domain/prediction-ids.js';
import type { RoutePolicy } from '../domain/route-policy.js';
import { RoutingTable } from '../domain/routing-table.js';
import { OnnxModel } from '@headrace/executor/onnx-model';
import { directBinding, openOnnx } from '@headrace/executor/onnx-runtime';
import { ShadowBook } from '../domain/shadow-statistics.js';
import type { Place } from '../domain/run-watch.js';
import { Predictor } from './predictor.js';
import { RouteFinder } from './route-finder.js';
import { INLINE_RUN_MS, plan, LANE_ROWS, SumSession, RemoteSession, Replies, standing } from '../../test/predictor-kit.js';

function setUp(session: ModelSession, requestsMax = 100, delayMs = 0, rowsMax = LANE_ROWS, place: Place = 'here') {
  const clock = new FakeClock(1_000);
  const timers: { atMs: number; ring: () => void }[] = [];
  /** Moves the clock and rings what is due. */
  const advance = (byMs: number): void => {
    clock.advance(byMs);
    for (const timer of timers.splice(0)) {
      if (timer.atMs <= clock.nowMs()) timer.ring();
      else timers.push(timer);
    }
  };
  const routes = new RouteFinder();
  const shadows = new ShadowBook();
  const logged: { id: string; arm: string; version: number; trace: string }[] = [];
  const model = standing(session, 'm', 1, delayMs, place, rowsMax);
  routes.table = RoutingTable.empty<ServedModel>().withChampion(model);
  const ignore = (): undefined => undefined;
  const predictor = new Predictor({
    routes,
    admission: new Admission(requestsMax, 10_000),
    ids: new PredictionIds(new Uint8Array(5)),
    store: { getBuffers: () => Promise.reject(new Error('not asked')) },
    log: {
      append: ({ predictionId: id, arm, loaded, replies, reply }) =>
        void logged.push({ id: id.toString(), arm, version: loaded.version, trace: replies.headerOf(reply, 'traceparent') }),
    },
    unrouted: new ModelStatistics('', '', 0),
    shadows,
    lookedUp: ignore,
    refreshViews: () => Promise.resolve(false),
    nowMs: () => clock.nowMs(),
    after: (delayMs, ring) => void timers.push({ atMs: clock.nowMs() + delayMs, ring }),
  });
  const replies = new Replies();
  const writer = new ProtoWriter();
  const submit = (reply: number, dense: number[], deadlineMs = Infinity, more: Partial<PredictRequestInput> = {}): void => {
    encodePredictRequest({ model: 'm', dense: Float32Array.from(dense), ...more }, writer.reset());
    // As from a socket.
    const bytes = Buffer.from(writer.finish());
    predictor.submit(bytes, 0, bytes.length, reply, deadlineMs, replies);
    // The transport's buffer is not ours after the call.
    bytes.fill(0xff);
  };
  return { predictor, routes, model, replies, submit, shadows, logged, clock, advance };
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

  it('runs and sends answers in the middle of a turn that brings many requests, so that their callers go on meanwhile', () => {
    const session = new SumSession();
    const { predictor, replies, submit, logged } = setUp(session, 100, 0, 128);
    for (let reply = 0; reply < 31; reply++) submit(reply, [reply, 0, 0]);
    expect([session.runs, replies.flushes]).toEqual([[], []]);
    submit(31, [31, 0, 0]);
    expect([session.runs, replies.flushes, predictor.inFlight]).toEqual([[32], [32], 0]);
    for (let reply = 32; reply < 70; reply++) submit(reply, [reply, 0, 0]);
    predictor.tick();
    expect(logged.length).toBe(70);
    for (let reply = 0; reply < 70; reply++) expect(scoresOf(replies.answers.get(reply))).toEqual([reply]);
  });

  it('does so for few requests when they fill a batch, or when a run of theirs will take long', () => {
    const full = setUp(new SumSession(), 100, 0, 64);
    for (const reply of [0, 1]) full.submit(reply, new Array<number>(32 * 3).fill(1));
    expect(full.replies.flushes).toEqual([2]);
    const slow = setUp(new SumSession(), 100, 0, 64);
    // By the runs so far three rows take three quarters of what may stay on the event loop.
    for (let i = 0; i < 100; i++) slow.model.parts.lane.ran(4, INLINE_RUN_MS);
    for (const reply of [0, 1, 2]) slow.submit(reply, [1, 0, 0]);
    expect(slow.replies.flushes).toEqual([3]);
  });

  it('leaves a whole turn together where a batch waits for others, or runs in another process', () => {
    const delayed = setUp(new SumSession(), 100, 5, 128);
    const remote = setUp(new SumSession(), 100, 0, 128, 'worker');
    for (const { submit } of [delayed, remote]) for (let reply = 0; reply < 70; reply++) submit(reply, [reply, 0, 0]);
    for (const { replies } of [delayed, remote]) expect([replies.flushes, replies.answers.size]).toEqual([[], 0]);
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

describe('a routed request', () => {
  /** Version 1 is champion, 2 and 3 are beside it; each adds a tenth of its number to the first feature. */
  function setUpRoutes(policy: RoutePolicy) {
    const session = (version: number): ModelSession => ({
      run: (block, firstRow, rows) => Float32Array.from({ length: rows }, (_, i) => block.numbers[(firstRow + i) * 3]! + version / 10),
      release: () => undefined,
      retire: () => undefined,
    });
    const kit = setUp(session(1));
    const [two, three] = [standing(session(2), 'm', 2), standing(session(3), 'm', 3)];
    kit.routes.table = kit.routes.table.withPinned(two).withPinned(three).withPolicy('default', 'm', policy);
    const ask = (reply: number, headers: Record<string, string> = {}, more: Partial<PredictRequestInput> = {}): unknown => {
      kit.replies.headers = headers;
      kit.submit(reply, [0, 0, 0], Infinity, more);
      kit.predictor.tick();
      const answer = kit.replies.answers.get(reply)!;
      return 'scores' in answer ? `${answer.arm}/${answer.version}` : `${answer.code}: ${answer.message}`;
    };
    return { ...kit, two, three, ask };
  }
  const canary: RoutePolicy = { traffic: { kind: 'canary', version: 2, percent: 30, salt: '' } };

  it('goes by its routing key, or by its prediction id, and always the same way', () => {
    const { ask, replies } = setUpRoutes(canary);
    const by = (more: (key: string) => [Record<string, string>, Partial<PredictRequestInput>]): unknown[] =>
      Array.from({ length: 50 }, (_, i) => {
        replies.answers.clear();
        return ask(0, ...more(`key-${i}`));
      });
    const byHeader = by((key) => [{ 'headrace-routing-key': key }, {}]);
    const byId = by((key) => [{}, { predictionId: key }]);
    expect(byHeader).toEqual(byId);
    expect(byHeader).toEqual(by((key) => [{ 'headrace-routing-key': key }, { predictionId: 'another' }]));
    const canaries = byHeader.filter((who) => who === 'canary/2').length;
    expect(canaries).toBeGreaterThan(5);
    expect(canaries + byHeader.filter((who) => who === 'champion/1').length).toBe(50);
  });

  it('without any key goes by turns, in the shares of the policy', () => {
    const { ask } = setUpRoutes(canary);
    const canaries = Array.from({ length: 1_000 }, (_, i) => ask(i)).filter((who) => who === 'canary/2').length;
    expect(Math.abs(canaries - 300)).toBeLessThan(60);
  });

  it.each<[string, Record<string, string>, Partial<PredictRequestInput>, string | RegExp]>([
    ['a version in the metadata', { 'headrace-version': '3' }, {}, 'pinned/3'],
    ['a version in the request, which wins', { 'headrace-version': '3', 'headrace-arm': 'canary' }, { version: 2 }, 'pinned/2'],
    ['the arm canary', { 'headrace-arm': 'canary' }, {}, 'canary/2'],
    ['the arm champion', { 'headrace-arm': 'champion', 'headrace-routing-key': 'key-0' }, {}, 'champion/1'],
    ['an arm that is not there', { 'headrace-arm': 'blue' }, {}, /^REQUEST_INVALID: headrace-arm is "blue"; model m has champion, canary/],
    ['a version that is not there', { 'headrace-version': '9' }, {}, /^VERSION_UNKNOWN: version 9 of model m/],
    ['a version that is none', { 'headrace-version': '1.5' }, {}, /^REQUEST_INVALID: headrace-version is "1.5"/],
  ])('obeys %s', (_, headers, more, expected) => {
    const answer = setUpRoutes(canary).ask(0, headers, more);
    if (typeof expected === 'string') expect(answer).toBe(expected);
    else expect(answer).toMatch(expected);
  });

  const toThree: RoutePolicy = { traffic: { kind: 'champion' }, shadow: { version: 3, percent: 100 } };
  const aTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('is copied to the shadow after its answer, compared with it, and logged under an id of its own', async () => {
    const { ask, replies, shadows, logged, predictor, three } = setUpRoutes(toThree);
    expect(ask(0, { traceparent: 't' }, { predictionId: 'x' })).toBe('champion/1');
    expect(logged).toEqual([{ id: 'x', arm: 'champion', version: 1, trace: 't' }]);
    replies.headers = {};
    await aTurn();
    expect(logged[1]).toEqual({ id: 'x~3', arm: 'shadow', version: 3, trace: 't' });
    const [comparison] = shadows.list();
    // 0.1 against 0.3: both are 0 by a threshold of 0.5.
    expect(comparison).toMatchObject({ primary: 1, shadow: 3, requests: 1, rows: 1, agreed: 1 });
    expect(comparison!.difference.sum).toBeCloseTo(0.2, 5);
    expect([replies.answers.size, predictor.inFlight, three.pins, three.statistics.requests]).toEqual([1, 0, 0, 0]);
  });

  it('is not copied when it names a version, and gives its copy up when the process stops', async () => {
    const { ask, shadows, logged, predictor, three } = setUpRoutes(toThree);
    ask(0, {}, { version: 2 });
    expect(shadows.list()).toEqual([]);
    ask(1);
    await predictor.drain(1_000);
    await aTurn();
    expect(logged).toHaveLength(2);
    expect([shadows.list()[0]!.skipped, three.pins]).toEqual([1, 0]);
  });

  it('never fails by its shadow, nor runs it when there is little room', async () => {
    const { submit, predictor, replies, shadows, routes, model } = setUp(new SumSession(), 4);
    const broken: ModelSession = {
      run: () => {
        throw new Error('broken');
      },
      release: () => undefined,
      retire: () => undefined,
    };
    routes.table = routes.table
      .withPinned(standing(broken, 'm', 2))
      .withPolicy('default', 'm', { ...toThree, shadow: { version: 2, percent: 100 } });
    submit(0, [1, 0, 0]);
    predictor.tick();
    await aTurn();
    expect(scoresOf(replies.answers.get(0))).toEqual([1]);
    expect(shadows.list()[0]).toMatchObject({ requests: 0, failures: new Map([['INTERNAL', 1]]) });
    // A large request, which runs in slices, is inside: the share of shadows, a quarter of four, is taken.
    submit(1, new Array<number>(300).fill(1));
    predictor.tick();
    await aTurn();
    expect(shadows.list()[0]!.skipped).toBe(1);
    await predictor.drain(1_000);
    expect(scoresOf(replies.answers.get(1))).toHaveLength(100);
    expect(model.pins).toBe(0);
  });
});
