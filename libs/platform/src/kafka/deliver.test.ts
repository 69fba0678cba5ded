import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { expect, it } from 'vitest';
import { backoffMs, deliver, DeliveryStopped, type DeliveryHooks } from './deliver.js';
import type { Received, Verdict } from './subscription.js';

const policy = { tries: 3, initialDelayMs: 50, maxDelayMs: 5_000 };
const batchOf = (...ids: string[]): Received<string>[] => ids.map((id, i) => ({ id, event: id, offset: String(i) }) as Received<string>);

function hooks(): DeliveryHooks & { waits: number[]; retries: string[]; outages: string[] } {
  const waits: number[] = [];
  const retries: string[] = [];
  const outages: string[] = [];
  return {
    waits,
    retries,
    outages,
    context: { topic: 't', partition: 0, group: 'g', signal: new AbortController().signal },
    wait: (ms) => (waits.push(ms), Promise.resolve()),
    onRetry: (_events, reason) => void retries.push(reason),
    onOutage: (reason) => void outages.push(reason),
  };
}

const kinds = (verdicts: readonly Verdict[]): string[] => verdicts.map((v) => v.kind);

it('takes a handler that returns nothing as done', async () => {
  const h = hooks();
  expect(kinds(await deliver(batchOf('a', 'b'), () => Promise.resolve(), policy, h))).toEqual(['done', 'done']);
  expect(h.waits).toEqual([]);
});

it('lets only the poison event die, with its own error, and tries the rest one by one in order', async () => {
  const calls: string[][] = [];
  const h = hooks();
  const verdicts = await deliver(
    batchOf('a', 'poison', 'c'),
    (batch) => {
      calls.push(batch.map((e) => e.event));
      return batch.some((e) => e.event === 'poison') ? Promise.reject(new AppError('ROW_INVALID', 'negative age')) : Promise.resolve();
    },
    policy,
    h,
  );
  expect(verdicts).toEqual([{ kind: 'done' }, { kind: 'dead', code: 'ROW_INVALID', reason: 'negative age' }, { kind: 'done' }]);
  expect(calls).toEqual([...Array(3).fill(['a', 'poison', 'c']), ['a'], ['poison'], ['poison'], ['poison'], ['c']]);
  expect(h.waits.reduce((a, b) => a + b)).toBeLessThan(500);
});

it('retries only the events that ask for it, then gives them up with their reason', async () => {
  const seen: string[][] = [];
  const verdicts = await deliver(
    batchOf('a', 'later', 'never'),
    (batch, { attempt }) => {
      seen.push(batch.map((e) => e.event));
      return Promise.resolve(
        batch.map(({ event }): Verdict =>
          event === 'never' || (event === 'later' && attempt < 2)
            ? { kind: 'retry', reason: `${event}: no prediction yet` }
            : { kind: 'done' },
        ),
      );
    },
    policy,
    hooks(),
  );
  expect(seen).toEqual([['a', 'later', 'never'], ['later', 'never'], ['never']]);
  expect(verdicts).toEqual([
    { kind: 'done' },
    { kind: 'done' },
    { kind: 'dead', code: 'DEADLINE_EXCEEDED', reason: 'not handled after 3 tries: never: no prediction yet' },
  ]);
});

it('waits out an outage however long it lasts: no event dies for a database that is away', async () => {
  let calls = 0;
  const h = hooks();
  const verdicts = await deliver(
    batchOf('a', 'b'),
    () => (++calls <= 200 ? Promise.reject(new AppError('DEPENDENCY_UNAVAILABLE', 'Postgres is away')) : Promise.resolve()),
    policy,
    h,
  );
  expect(kinds(verdicts)).toEqual(['done', 'done']);
  expect(h.outages).toHaveLength(200);
  expect(Math.max(...h.waits)).toBeLessThanOrEqual(10_000);
});

it('leaves the batch when the wait is stopped', async () => {
  const h = { ...hooks(), wait: () => Promise.reject(new DeliveryStopped('the process stops')) };
  await expect(deliver(batchOf('a'), () => Promise.reject(new Error('x')), policy, h)).rejects.toBeInstanceOf(DeliveryStopped);
});

it('takes a wrong number of verdicts as a defect of the handler', async () => {
  const [verdict] = await deliver(batchOf('a'), () => Promise.resolve([]), policy, hooks());
  expect(verdict).toMatchObject({
    kind: 'dead',
    code: 'INTERNAL',
    reason: expect.stringContaining('one verdict for each of the 1 events, got 0'),
  });
});

it('backs off by doubling, with a ceiling and jitter', () => {
  const random = seededRandom(1);
  const delays = Array.from({ length: 12 }, (_, i) => backoffMs(i + 1, policy, random));
  for (const [i, delay] of delays.entries()) {
    expect(delay).toBeLessThanOrEqual(Math.min(5_000, 50 * 2 ** i));
    expect(delay).toBeGreaterThanOrEqual(0.75 * Math.min(5_000, 50 * 2 ** i));
  }
});
