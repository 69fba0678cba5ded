import { AppError } from '@headrace/base/errors';
import { sleep } from '@headrace/base/clock';
import type { OutgoingRecord } from '@headrace/events/envelope';
import { causeOf } from '../../src/kafka/cause.js';
import type { RawRecord } from '../../src/kafka/client.js';
import { DEAD, replay } from '../../src/kafka/dead-letter.js';
import type { KafkaClients } from '../../src/kafka/kafka-clients.js';
import {
  EventRunner,
  subscribe,
  type EventRunnerOptions,
  type Received,
  type SubscribeOptions,
  type Verdict,
} from '../../src/kafka/runner.js';
import { eventually } from '@headrace/testkit/eventually';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { kafkaKit, noteTaken, record, type KafkaKit, type Note } from '../kafka-kit.js';

describe.each(['kafkajs', 'platformatic'] as const)('event runner on %s', (library) => {
  const notes = noteTaken(2);
  let kit: KafkaKit;
  let clients: KafkaClients;
  let runners: EventRunner[];

  beforeEach(async () => {
    kit = kafkaKit(library, `runner-${library}`);
    clients = kit.clients();
    runners = [];
    await clients.admin().ensureTopics([notes]);
  });
  afterEach(async () => {
    await Promise.all(runners.map((runner) => runner.stop()));
    await kit.close();
  });

  async function run(
    handle: SubscribeOptions<Note>['handle'],
    subscription: Partial<SubscribeOptions<Note>> = {},
    options: Partial<EventRunnerOptions> = {},
  ): Promise<EventRunner> {
    const runner = new EventRunner(clients, kit.publisher(clients), kit.telemetry, kit.log, {
      subscriptions: [subscribe(notes, { group: 'test', ...subscription, handle })],
      ...options,
    });
    runners.push(runner);
    await runner.start();
    return runner;
  }
  const json = (note: Note, headers: Record<string, string> = {}): OutgoingRecord =>
    record('notes.v1', note.key, JSON.stringify(note), {
      'content-type': 'application/json',
      ce_id: `id-${note.key}-${note.number}`,
      ...headers,
    });
  const send = (...records: OutgoingRecord[]): Promise<void> => clients.producer().send(records);
  const committed = (group = 'test'): Promise<unknown> =>
    eventually('all is committed', async () => (await clients.admin().lag(group, 'notes.v1')).every(({ lag }) => lag === 0n), {
      everyMs: 100,
    });

  async function letters(count: number): Promise<RawRecord[]> {
    const found: RawRecord[] = [];
    const consumer = clients.consumer({
      topic: 'notes.v1.dead',
      group: `reader-${Math.random()}`,
      from: 'earliest',
      concurrency: 1,
      sessionTimeoutMs: 6_000,
      onBatch: async (batch) => void found.push(...batch.records.filter((r) => !found.some((f) => f.offset === r.offset))),
    });
    await consumer.start();
    await eventually(`${count} dead letters`, () => found.length >= count);
    await consumer.stop();
    return found;
  }

  it('publishes and handles an event with its trace, chain and place', async () => {
    const received: Received<Note>[] = [];
    await run((batch) => Promise.resolve(void received.push(...batch)));
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await kit
      .publisher(clients)
      .publish(notes, [{ key: 'a', number: 1 }], { traceparent, correlationId: 'chain-1', causationId: 'before' });
    await eventually('it came', () => received.length === 1);
    const [event] = received;
    expect(event).toMatchObject({
      event: { key: 'a', number: 1 },
      type: notes.type,
      source: '/headrace/platform-test',
      traceparent,
      correlationId: 'chain-1',
      causationId: 'before',
      topic: 'notes.v1',
      key: 'a',
      offset: '0',
      project: 'default',
    });
    expect(causeOf(event!)).toEqual({ traceparent, correlationId: 'chain-1', causationId: event!.id });
    expect(Buffer.from(event!.rawValue).toString()).toBe('{"key":"a","number":1}');
    await committed();
  });

  it('lets one poison event die among good ones, within two seconds, and the partition moves on', async () => {
    const handled: number[] = [];
    await run(async (batch) => {
      for (const { event } of batch) if (event.number === 5) throw new AppError('ROW_INVALID', 'five is not a number here');
      handled.push(...batch.map((e) => e.event.number));
    });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await send(...Array.from({ length: 10 }, (_, n) => json({ key: 'k', number: n }, { traceparent, custom: 'kept' })));
    const begin = performance.now();
    await eventually('the good ones are handled', () => handled.length === 9);
    expect(performance.now() - begin).toBeLessThan(2_000);
    expect(handled).toEqual([0, 1, 2, 3, 4, 6, 7, 8, 9]);
    await committed();
    const [letter, ...rest] = await letters(1);
    expect(rest).toEqual([]);
    expect(Buffer.from(letter!.value!).toString()).toBe('{"key":"k","number":5}');
    expect(Buffer.from(letter!.key!).toString()).toBe('k');
    expect({ ...letter!.headers }).toMatchObject({
      custom: 'kept',
      ce_id: 'id-k-5',
      [DEAD.code]: 'ROW_INVALID',
      [DEAD.reason]: 'five is not a number here',
      [DEAD.group]: 'test',
      [DEAD.topic]: 'notes.v1',
      [DEAD.offset]: '5',
      [DEAD.traceId]: '0af7651916cd43dd8448eb211c80319c',
    });
    expect(await kit.telemetry.metricsText()).toMatch(/headrace_events_handled_total{[^}]*outcome="dead"[^}]*} 1\n/);
  });

  it('buries malformed bytes at once without asking the handler, and good neighbours are untouched', async () => {
    const handled: number[] = [];
    await run((batch) => Promise.resolve(void handled.push(...batch.map((e) => e.event.number))));
    const headers = { 'content-type': 'application/json' };
    await send(
      json({ key: 'k', number: 1 }),
      record('notes.v1', 'k', '{"key":', headers),
      record('notes.v1', 'k', Uint8Array.from([0xff, 0xfe]), headers),
      record('notes.v1', 'k', 'x', { 'content-type': 'text/csv' }),
      json({ key: 'k', number: 2 }),
    );
    await eventually('the good ones are handled', () => handled.length === 2);
    const found = await letters(3);
    expect(found.map((r) => r.headers[DEAD.code])).toEqual(['EVENT_MALFORMED', 'EVENT_MALFORMED', 'EVENT_MALFORMED']);
    expect(found[2]!.headers[DEAD.reason]).toContain('content-type text/csv is not accepted');
    expect([...found[1]!.value!]).toEqual([0xff, 0xfe]);
  });

  it('buries an event of 3 MB whole, although our own producers would not send one', async () => {
    await run(() => Promise.reject(new AppError('MESSAGE_TOO_LARGE', 'more than 1 MiB')));
    const stranger = kit.clients({ maxMessageBytes: 4_000_000 });
    const body = Buffer.from(JSON.stringify({ key: 'k', number: 1, padding: 'x'.repeat(3_000_000) }));
    await stranger.producer().send([record('notes.v1', 'k', body, { 'content-type': 'application/json' })]);
    const [letter] = await letters(1);
    expect(body.equals(letter!.value!)).toBe(true);
    expect(await replay(clients, 'notes.v1')).toBe(0);
  });

  it('obeys verdicts: dead, skipped, quarantined parts, and a retry that succeeds', async () => {
    let tries = 0;
    await run((batch) =>
      Promise.resolve(
        batch.map(({ event: { number } }): Verdict => {
          if (number === 1) return { kind: 'dead', code: 'VIEW_UNKNOWN', reason: 'no such view' };
          if (number === 2) return { kind: 'skipped', reason: 'seen before' };
          if (number === 3)
            return {
              kind: 'done',
              quarantine: [
                { code: 'ROW_INVALID', reason: 'row 7 is bad', value: Buffer.from('{"row":7}'), contentType: 'application/json' },
              ],
            };
          if (number === 4) return ++tries < 3 ? { kind: 'retry', reason: 'not yet' } : { kind: 'done' };
          return { kind: 'done' };
        }),
      ),
    );
    await send(...[1, 2, 3, 4, 5].map((number) => json({ key: 'k', number })));
    const found = await letters(2);
    await committed();
    expect(tries).toBe(3);
    expect(found.map((r) => [r.headers[DEAD.code], r.headers['ce_id'], Buffer.from(r.value!).toString()])).toEqual([
      ['VIEW_UNKNOWN', 'id-k-1', '{"key":"k","number":1}'],
      ['ROW_INVALID', 'id-k-3/quarantined/0', '{"row":7}'],
    ]);
  });

  it('replays dead letters to the group that failed, by filter, and nobody else handles them', async () => {
    let mended = false;
    const mine: Received<Note>[] = [];
    const others: number[] = [];
    await run(
      async (batch) => {
        for (const received of batch) {
          if (!mended && received.event.number >= 2)
            throw new AppError(received.event.number === 2 ? 'ROW_INVALID' : 'VIEW_UNKNOWN', 'not yet');
          mine.push(received);
        }
      },
      { batchMax: 1 },
    );
    await run((batch) => Promise.resolve(void others.push(...batch.map((e) => e.event.number))), { group: 'other' });
    await send(...[1, 2, 3].map((number) => json({ key: 'k', number })));
    await letters(2);
    mended = true;
    expect(await replay(clients, 'notes.v1', { code: 'ROW_INVALID' })).toBe(1);
    await eventually('the mended one came', () => mine.length === 2);
    expect(mine[1]).toMatchObject({ id: 'id-k-2', event: { number: 2 } });
    expect(mine[1]!.rawHeaders[DEAD.code]).toBeUndefined();
    expect(await replay(clients, 'notes.v1', { eventId: 'id-k-3', group: 'test' })).toBe(1);
    expect(await replay(clients, 'notes.v1', { group: 'nobody' })).toBe(0);
    await eventually('the other came', () => mine.length === 3);
    await committed('other');
    expect(others).toEqual([1, 2, 3]);
  });

  it('waits for a dependency that is away instead of burying events, says so in a metric, and stops while it waits', async () => {
    let away = true;
    const handled: number[] = [];
    const handle = (batch: readonly Received<Note>[]): Promise<void> => {
      if (away) return Promise.reject(new AppError('DEPENDENCY_UNAVAILABLE', 'Postgres is away'));
      handled.push(...batch.map((e) => e.event.number));
      return Promise.resolve();
    };
    const runner = await run(handle);
    await send(...[1, 2, 3].map((number) => json({ key: 'k', number })));
    await eventually('it waits', () => kit.log.count('a dependency is away') >= 4);
    expect(await kit.telemetry.metricsText()).toMatch(/headrace_events_blocked{[^}]*} 1\n/);
    const begin = performance.now();
    await runner.stop();
    expect(performance.now() - begin).toBeLessThan(3_000);
    expect((await clients.admin().lag('test', 'notes.v1')).reduce((sum, { lag }) => sum + lag, 0n)).toBe(3n);
    away = false;
    await run(handle);
    await eventually('they came again', () => handled.length === 3);
    expect(handled).toEqual([1, 2, 3]);
    expect(kit.log.count('dead-lettered')).toBe(0);
  });

  it('hands out no more than batchMax events at a time while a slow handler works through a backlog', async () => {
    let largest = 0;
    let done = 0;
    await run(
      async (batch) => {
        largest = Math.max(largest, batch.length);
        await sleep(20);
        done += batch.length;
      },
      { batchMax: 100 },
    );
    for (let i = 0; i < 10; i++) await send(...Array.from({ length: 200 }, (_, n) => json({ key: `k${n}`, number: n })));
    await eventually('all are handled', () => done === 2_000, { withinMs: 30_000 });
    expect(largest).toBeLessThanOrEqual(100);
    await committed();
  });

  it('finishes the batch in hand at stop, commits it, and leaves nothing running', async () => {
    let entered = false;
    const handled: number[] = [];
    const runner = await run(
      async (batch) => {
        entered = true;
        await sleep(600);
        handled.push(...batch.map((e) => e.event.number));
      },
      { batchMax: 1 },
    );
    await send(json({ key: 'k', number: 1 }), json({ key: 'k', number: 2 }));
    await eventually('a batch is in hand', () => entered, { everyMs: 5 });
    await Promise.all([runner.stop(), runner.stop()]);
    expect(handled).toEqual([1]);
    await sleep(300);
    expect(handled).toEqual([1]);
    expect((await clients.admin().lag('test', 'notes.v1')).reduce((sum, { lag }) => sum + lag, 0n)).toBe(1n);
  });

  it('does not wait for ever for a handler at stop: its signal aborts', async () => {
    let aborted: unknown;
    const runner = await run(
      (_batch, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject((aborted = signal.reason)))),
      {},
      { stopWaitMs: 300 },
    );
    await send(json({ key: 'k', number: 1 }));
    await sleep(1_000);
    await runner.stop();
    expect(aborted).toMatchObject({ code: 'CANCELLED' });
  });

  it('shows the lag of a group', async () => {
    await run(
      () => new Promise((_, reject) => setTimeout(() => reject(new AppError('DEPENDENCY_UNAVAILABLE', 'away')), 50)),
      {},
      { lagEveryMs: 100 },
    );
    await send(...Array.from({ length: 7 }, (_, number) => json({ key: 'k', number })));
    await eventually('the metric says 7', async () =>
      expect(await kit.telemetry.metricsText()).toMatch(/headrace_events_lag{[^}]*group="test"[^}]*} 7\n/),
    );
  });

  it('starts without a broker, in bounded time, and stops cleanly', async () => {
    const nowhere = kit.clients({ brokers: ['127.0.0.1:1'] });
    const runner = new EventRunner(nowhere, kit.publisher(nowhere), kit.telemetry, kit.log, {
      subscriptions: [subscribe(notes, { group: 'test', handle: () => Promise.resolve() })],
      startWaitMs: 300,
    });
    const begin = performance.now();
    await runner.start();
    expect(performance.now() - begin).toBeLessThan(1_500);
    await runner.stop();
    expect(performance.now() - begin).toBeLessThan(5_000);
    expect(kit.log.lines.filter((line) => line.level === 'error')).toEqual([]);
  });
});
