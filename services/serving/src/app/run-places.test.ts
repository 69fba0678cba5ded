import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { encodePredictRequest } from '@headrace/codec/predict-request';
import { ProtoWriter } from '@headrace/codec/writer';
import { describe, expect, it } from 'vitest';
import { Admission } from '../domain/admission.js';
import type { OpenSession } from '../domain/loaded-model.js';
import { ModelStatistics } from '../domain/model-statistics.js';
import type { ServedModel } from '../domain/predict-job.js';
import { PredictionIds } from '../domain/prediction-ids.js';
import { RoutingTable } from '../domain/routing-table.js';
import { ShadowBook } from '../domain/shadow-statistics.js';
import { WINDOW_RUNS, type Place } from '../domain/run-watch.js';
import { INLINE_RUN_MS, NO_TENSORS, RemoteSession, Replies, SumSession, standing } from '../../test/predictor-kit.js';
import { Predictor } from './predictor.js';
import { RouteFinder } from './route-finder.js';
import { RunPlaces, type Move } from './run-places.js';

/** Runs of a slow version until it moves: a suspect window and a measured one. */
const MOVES_AFTER = 2 * WINDOW_RUNS;

/** Holds the event loop up for as long as it is told. */
class BusySession extends SumSession {
  busyMs = 0;
  override run(...args: Parameters<SumSession['run']>): Float32Array {
    for (const until = performance.now() + this.busyMs; performance.now() < until;);
    return super.run(...args);
  }
}

/** As a process of its own: what is under way when it is retired is answered. */
class WorkerSession extends RemoteSession {
  isRetired = false;
  override retire(): void {
    this.isRetired = true;
  }
}

function watched(session: SumSession | RemoteSession, place: Place = 'here') {
  const model = standing(session, 'm', 1, 0, place);
  const routes = new RouteFinder();
  routes.table = RoutingTable.empty<ServedModel>().withChampion(model);
  const predictor = new Predictor({
    routes,
    admission: new Admission(1_000, 10_000),
    ids: new PredictionIds(new Uint8Array(5)),
    store: { getBuffers: () => Promise.reject(new Error('not asked')) },
    log: { append: () => undefined },
    unrouted: new ModelStatistics('', '', 0),
    shadows: new ShadowBook(),
    lookedUp: () => undefined,
    refreshViews: () => Promise.resolve(false),
    nowMs: () => 0,
    after: () => undefined,
  });
  const moves: Move[] = [];
  const host = { isClosing: false };
  const places = new RunPlaces({ isClosing: () => host.isClosing, moved: (_, move) => moves.push(move) });
  places.watch(model);
  /** The session there is ready when the test says so. */
  const opened = Promise.withResolvers<OpenSession>();
  const asked: Place[] = [];
  Object.assign(model.parts, { open: (to: Place) => (asked.push(to), opened.promise) });
  const open = (there: SumSession | RemoteSession): void =>
    opened.resolve(Object.assign(there, { tensors: NO_TENSORS, runtime: { name: 'onnxruntime', reason: '' } as const }));
  const replies = new Replies();
  const writer = new ProtoWriter();
  const submit = (reply: number, dense: readonly number[]): void => {
    encodePredictRequest({ model: 'm', dense: Float32Array.from(dense) }, writer.reset());
    const bytes = writer.finish();
    predictor.submit(bytes, 0, bytes.length, reply, Infinity, replies);
  };
  let reply = 0;
  const ask = (): void => {
    submit(reply, [reply, 0, 0]);
    predictor.tick();
    reply++;
  };
  const allAnswered = (): void => {
    for (let i = 0; i < reply; i++) expect(scoresOf(replies.answers.get(i)), `request ${i}`).toEqual([i]);
  };
  return { model, predictor, replies, submit, moves, host, asked, opened, open, ask, allAnswered };
}

const scoresOf = (answer: unknown): number[] => [...((answer as { scores?: Float32Array }).scores ?? [])];
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('where a version runs', () => {
  it('moves a slow one while it serves: every request is answered, once and by its own row, before, during and after', async () => {
    const session = new BusySession();
    session.busyMs = INLINE_RUN_MS * 1.5;
    const { model, moves, asked, open, ask, allAnswered, replies } = watched(session);
    for (let i = 0; i < MOVES_AFTER - 1; i++) ask();
    expect(asked).toEqual([]);
    ask();
    expect(asked).toEqual(['worker']);
    session.busyMs = 0;
    for (let i = 0; i < 5; i++) ask();
    expect([moves, session.released]).toEqual([[], 0]);
    const there = new WorkerSession();
    open(there);
    await settle();
    expect([session.released, model.parts.session === there, model.parts.watch.place]).toEqual([1, true, 'worker']);
    expect(moves).toMatchObject([{ to: 'worker', failure: undefined, figures: { runs: WINDOW_RUNS, rows: 1, boundMs: INLINE_RUN_MS } }]);
    expect(moves[0]!.figures.ms).toBeGreaterThanOrEqual(INLINE_RUN_MS * 1.5);
    for (let i = 0; i < 2; i++) ask();
    await there.next();
    await there.next();
    allAnswered();
    expect(replies.answers.size).toBe(MOVES_AFTER + 7);
  });

  it.each([1, 2, 3])('moves no fast one for a pause of the machine (seed %i)', (seed) => {
    const random = seededRandom(seed);
    const session = new BusySession();
    const { asked, ask } = watched(session);
    const pauseAt = Math.floor(random() * 100);
    for (let i = 0; i < 200; i++) {
      // Its mean over 32 runs is above the bound.
      session.busyMs = i === pauseAt ? INLINE_RUN_MS * 40 : 0;
      ask();
    }
    expect(asked).toEqual([]);
  });

  it('brings one back that turns out to be quick: what is under way in the process is answered from there', async () => {
    const away = new WorkerSession();
    const { model, moves, asked, open, ask, allAnswered } = watched(away, 'worker');
    ask();
    ask();
    for (let i = 0; i < 4 * WINDOW_RUNS; i++) model.parts.watch.ranElsewhere(1, 0.05);
    expect(asked).toEqual(['here']);
    const here = new SumSession();
    open(here);
    await settle();
    expect(moves).toMatchObject([{ to: 'here', failure: undefined, figures: { rows: 1, ms: 0.05 } }]);
    expect([away.isRetired, model.parts.watch.place]).toEqual([true, 'here']);
    await away.next();
    await away.next();
    for (let i = 0; i < 3; i++) ask();
    expect([away.runs, here.runs]).toEqual([
      [1, 1],
      [1, 1, 1],
    ]);
    allAnswered();
  });

  it('runs the rows of a batch that was refused there here, when the version has come back between two of them', async () => {
    const away = new WorkerSession();
    const { model, open, ask, submit, predictor, replies } = watched(away, 'worker');
    submit(100, [1, 0, 0]);
    submit(101, [2, 0, 0]);
    predictor.tick();
    for (let i = 0; i < 4 * WINDOW_RUNS; i++) model.parts.watch.ranElsewhere(1, 0.05);
    await away.next(new Error('the runtime refuses a row'));
    open(new SumSession());
    await settle();
    await away.next();
    await settle();
    expect([100, 101].map((reply) => scoresOf(replies.answers.get(reply)))).toEqual([[1], [2]]);
    expect(away.runs).toEqual([2, 1]);
    ask();
  });

  it('leaves one where it is that cannot be moved, and asks again after more runs than the first time', async () => {
    const session = new BusySession();
    session.busyMs = INLINE_RUN_MS * 1.1;
    const { moves, asked, opened, ask, allAnswered } = watched(session);
    for (let i = 0; i < MOVES_AFTER; i++) ask();
    opened.reject(new AppError('MODEL_LOAD_FAILED', 'no process left'));
    await settle();
    expect(moves).toMatchObject([{ to: 'worker', failure: { code: 'MODEL_LOAD_FAILED' } }]);
    for (let i = 0; i < 3 * WINDOW_RUNS - 1; i++) ask();
    expect(asked).toHaveLength(1);
    ask();
    expect(asked).toHaveLength(2);
    allAnswered();
  });

  it.each(['the process closes', 'the version is replaced'])('releases what it opened for nothing when %s meanwhile', async (how) => {
    const session = new BusySession();
    session.busyMs = INLINE_RUN_MS * 1.1;
    const { model, moves, host, open, ask } = watched(session);
    for (let i = 0; i < MOVES_AFTER; i++) ask();
    if (how === 'the process closes') host.isClosing = true;
    else model.retire(() => undefined);
    const there = new SumSession();
    open(there);
    await settle();
    expect([there.released, moves]).toEqual([1, []]);
  });
});
