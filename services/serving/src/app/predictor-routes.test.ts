import { type PredictRequestInput } from '@headrace/codec/predict-request';
import { describe, expect, it } from 'vitest';
import type { ModelSession } from '@headrace/executor/model-session';
import type { RoutePolicy } from '../domain/route-policy.js';
import { SumSession, standing, setUp, scoresOf } from '../../test/predictor-kit.js';

describe('a routed request', () => {
  /** Version 1 is champion, 2 and 3 are beside it; each adds a tenth of its number to the first feature. */
  function setUpRoutes(policy: RoutePolicy) {
    const session = (version: number): ModelSession => ({
      run: (block, firstRow, rows) => Float32Array.from({ length: rows }, (_, i) => block.numbers[(firstRow + i) * 3]! + version / 10),
      release: () => undefined,
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
