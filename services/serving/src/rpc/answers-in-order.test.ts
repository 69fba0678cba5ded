import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { answersInOrder } from './answers-in-order.js';

async function* from<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe('answers in order', () => {
  it('come in the order of the requests, whichever is ready first, with a bounded number inside', async () => {
    let inside = 0;
    let most = 0;
    const answer = async (i: number): Promise<number> => {
      most = Math.max(most, ++inside);
      await sleep((i * 7) % 5);
      inside--;
      return i * 10;
    };
    const requests = Array.from({ length: 40 }, (_, i) => i);
    expect(await all(answersInOrder(from(requests), answer, 8))).toEqual(requests.map((i) => i * 10));
    expect(most).toBe(8);
  });

  it('do not wait for a request that has not come', async () => {
    let release = (): void => undefined;
    async function* slow(): AsyncIterable<number> {
      yield 1;
      await new Promise<void>((resolve) => (release = resolve));
      yield 2;
    }
    const answers = answersInOrder(slow(), (i) => Promise.resolve(i))[Symbol.asyncIterator]();
    expect((await answers.next()).value).toBe(1);
    release();
    expect((await answers.next()).value).toBe(2);
    expect((await answers.next()).done).toBe(true);
  });

  it('end the reading when their reader leaves, and the stream with what is no answer', async () => {
    let isClosed = false;
    async function* endless(): AsyncIterable<number> {
      try {
        for (let i = 0; ; i++) yield i;
      } finally {
        isClosed = true;
      }
    }
    for await (const answer of answersInOrder(endless(), (i) => Promise.resolve(i))) if (answer === 3) break;
    await sleep(1);
    expect(isClosed).toBe(true);
    await expect(all(answersInOrder(from([1]), () => Promise.reject(new Error('broken'))))).rejects.toThrow('broken');
  });
});
