import { createRequire } from 'node:module';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { mendRequestQueue } from './kafkajs-queue.js';

interface Queue {
  push(request: { entry: { correlationId: number }; expectResponse: boolean; sendRequest(): void }): void;
  fulfillRequest(answer: { correlationId: number; payload: null; size: number }): void;
  maybeThrottle(ms: number): void;
}

const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as new (options: object) => Queue;

/** A connection that has one request under way at the most. */
function open(): { queue: Queue; sent: number[]; send(id: number): void; answer(id: number): void } {
  const ignore = (): void => undefined;
  const queue = new RequestQueue({
    maxInFlightRequests: 1,
    requestTimeout: 1_000,
    enforceRequestTimeout: false,
    logger: { debug: ignore, warn: ignore },
  });
  const sent: number[] = [];
  const send = (id: number): void =>
    queue.push({
      entry: { correlationId: id, resolve: ignore, reject: ignore } as { correlationId: number },
      expectResponse: true,
      sendRequest: () => void sent.push(id),
    });
  return { queue, sent, send, answer: (id) => queue.fulfillRequest({ correlationId: id, payload: null, size: 0 }) };
}

beforeEach(() => {
  mendRequestQueue();
  vi.useFakeTimers();
});
afterEach(() => void vi.useRealTimers());

it('arms no timer while nothing waits', () => {
  const { send, answer, sent } = open();
  send(1);
  answer(1);
  expect(sent).toEqual([1]);
  expect(vi.getTimerCount()).toBe(0);
});

it('sends what waits for an answer as soon as it is there, and looks again for no longer than something waits', () => {
  const { send, answer, sent } = open();
  send(1);
  send(2);
  expect(sent).toEqual([1]);
  answer(1);
  expect(sent).toEqual([1, 2]);
  answer(2);
  vi.advanceTimersByTime(100);
  expect(vi.getTimerCount()).toBe(0);
});

it('sends what a throttling broker holds back when the time is over', () => {
  const { queue, send, sent } = open();
  queue.maybeThrottle(50);
  send(1);
  vi.advanceTimersByTime(49);
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(2);
  expect(sent).toEqual([1]);
});
