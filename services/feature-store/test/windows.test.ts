import { AppError } from '@headrace/base/errors';
import type { Clock } from '@headrace/base/clock';
import { seededRandom } from '@headrace/base/random';
import { FieldStatus } from '@headrace/contracts/features/v1/features';
import { parseDefinitionsFile } from '@headrace/definitions/yaml-file';
import { aggregationsOf } from '@headrace/definitions/served-features';
import { isDefinitionOf } from '@headrace/definitions/definition';
import { CLOCK } from '@headrace/platform/platform-module';
import type { EventRow, WindowValue } from '@headrace/windows/measure';
import { slowWindows } from '@headrace/windows/slow-windows';
import { compileWindowPlan } from '@headrace/windows/window-plan';
import { parquetReadObjects } from 'hyparquet';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { OnlineStore } from '../src/io/online-store.js';
import { WindowStore } from '../src/io/window-store.js';
import { startHarness, type Harness } from './harness.js';

const AGGREGATIONS = `
  - { function: count, windows: [10s, 1h, 24h], name: rows }
  - { function: sum, column: amount, windows: [10s, 1h, 24h, 30d] }
  - { function: mean, column: amount, windows: [1h, 30d] }
  - { function: std, column: amount, windows: [24h] }
  - { function: min, column: amount, windows: [1h] }
  - { function: max, column: amount, windows: [24h] }
  - { function: last, column: shop, windows: [1h, 24h] }
  - { function: last_k, column: amount, windows: [24h], k: 3 }
  - { function: approx_distinct, column: shop, windows: [30d] }
  - { function: percentile, column: amount, windows: [30d], percentile: 90 }`;
const DEFINITIONS = `
kind: Entity
name: card
joinKeys: [card]
---
kind: Entity
name: purchase
joinKeys: [card, purchase]
---
kind: FeatureView
name: payment
entity: card
features: [{ name: amount, type: float64 }, { name: shop, type: string }]
aggregations: ${AGGREGATIONS}
---
kind: FeatureView
name: limit
entity: card
features: [{ name: limit, type: int64 }]
---
kind: FeatureView
name: fraud
entity: purchase
online: false
features: [{ name: fraud, type: bool }]
`;

const definition = parseDefinitionsFile(DEFINITIONS, 'test.yaml').find((d) => d.name === 'payment')!;
if (!isDefinitionOf(definition, 'FeatureView')) throw new Error('payment is a view');
const plan = compileWindowPlan(aggregationsOf(definition.spec));
const NAMES = plan.features.map((f) => f.name);
const FEATURES = NAMES.map((name) => `payment:${name}`);
const [S, H, D] = [1000, 3_600_000, 86_400_000];

let h: Harness;
let nowMs = Date.now();
const clock = (): void => void vi.spyOn(h.service.app.get<Clock>(CLOCK), 'nowMs').mockImplementation(() => nowMs);
beforeAll(async () => {
  h = await startHarness({ ingestBatchEvents: 9 });
  await h.apply(DEFINITIONS);
  clock();
});
afterAll(() => h.close());

interface Payment {
  readonly card: string;
  readonly timeMs: number;
  readonly amount: number | null;
  readonly shop: string | null;
}

const rowOf = ({ card, timeMs, amount, shop }: Payment): object => ({
  entity: { card },
  eventTime: new Date(timeMs).toISOString(),
  values: { amount, shop },
});

/** Instants of no two rows of a card are equal, so that no content hash is needed to say which is the last. */
function randomPayments(random: () => number, cards: readonly string[], perCard: number): Payment[] {
  return cards.flatMap((card) => {
    const times = new Set<number>();
    while (times.size < perCard) {
      const span = [20 * S, 2 * H, 2 * D, 40 * D][Math.floor(random() * 4)]!;
      times.add(nowMs - Math.floor((random() * span) / 10) * 10);
    }
    return [...times].map((timeMs) => ({
      card,
      timeMs,
      amount: random() < 0.1 ? null : (random() - 0.3) * 10 ** Math.floor(random() * 8),
      shop: random() < 0.1 ? null : `shop ${Math.floor(random() * 9)}`,
    }));
  });
}

function oracle(payments: readonly Payment[], card: string, atMs: number): WindowValue[] {
  const rows = payments
    .filter((p) => p.card === card)
    .map((p): EventRow => ({ timeMs: p.timeMs, tie: 0, values: plan.columns.map((column) => (column === 'amount' ? p.amount : p.shop)) }));
  return slowWindows(plan, rows, atMs);
}

async function online(cards: readonly string[], features = FEATURES): Promise<WindowValue[][]> {
  const { vectors } = await h.client.getOnlineFeatures({ features, entities: cards.map((card) => ({ keys: { card } })) });
  return vectors.map(({ values }) => values as WindowValue[]);
}

function expectOracle(actual: readonly WindowValue[], expected: readonly WindowValue[]): void {
  for (const [i, { function: of, name }] of plan.features.entries()) {
    const [a, e] = [actual[i]!, expected[i]!];
    const slack = { std: 1e-12, percentile: 0.0101, approx_distinct: 0.1 }[of as string];
    if (slack === undefined || a === null || e === null) expect(a, name).toEqual(e);
    else expect(Math.abs((a as number) - (e as number)), name).toBeLessThanOrEqual(slack * Math.abs(e as number));
  }
}

const cards = Array.from({ length: 8 }, (_, i) => `card ${i}`);
let payments: Payment[];

describe('windows of disordered, repeated and failing events', () => {
  it('equal the oracle over the raw rows, now and later', async () => {
    const random = seededRandom(1);
    payments = randomPayments(random, cards, 40);
    const deliveries = [...payments, ...payments.filter(() => random() < 0.4)].sort(() => random() - 0.5);
    const rows = vi.spyOn(h.service.app.get(OnlineStore), 'write');
    const swap = vi.spyOn(h.service.app.get(WindowStore), 'swap');
    const gone = (): AppError => new AppError('DEPENDENCY_UNAVAILABLE', 'gone');
    const real = WindowStore.prototype.swap.bind(h.service.app.get(WindowStore));
    for (let from = 0; from < deliveries.length; from += 40) {
      // Before anything is online, after the row is, and after everything is: each time the events come again.
      if (random() < 0.4) rows.mockRejectedValueOnce(gone());
      if (random() < 0.4) swap.mockRejectedValueOnce(gone());
      if (random() < 0.4)
        swap.mockImplementationOnce(async (...args) => {
          await real(...args);
          throw gone();
        });
      await h.sendAt(
        deliveries.slice(from, from + 40).map((p) => ({ view: 'payment', row: rowOf(p), arrivedMs: nowMs - 1000 + (from % 997) })),
      );
      if (from % 120 === 0) await h.settled();
    }
    await h.settled();
    expect(swap.mock.calls.length).toBeGreaterThan(20);
    vi.restoreAllMocks();
    clock();
    expect(await h.deadLetters()).toEqual([]);
    const startMs = nowMs;
    for (const laterMs of [0, 3 * S, 11 * S, 40 * 60 * S, 2 * H, 23 * H, 12 * D, 29 * D, 80 * D]) {
      nowMs = startMs + laterMs;
      const vectors = await online(cards);
      for (const [i, card] of cards.entries()) expectOracle(vectors[i]!, oracle(payments, card, nowMs));
    }
    nowMs = startMs;
  });

  it('are read with rows of other views in one answer, with the time of their newest row', async () => {
    await h.sendRows('limit', [{ entity: { card: cards[0]! }, eventTime: new Date(nowMs - D).toISOString(), values: { limit: 500 } }]);
    await h.settled();
    const { vectors } = await h.client.getOnlineFeatures({
      features: ['limit:limit', 'payment:rows_1d', 'payment:amount', 'payment:amount_sum_30d'],
      entities: [{ keys: { card: cards[0]! } }, { keys: { card: 'nobody' } }],
    });
    const newest = Math.max(...payments.filter((p) => p.card === cards[0]).map((p) => p.timeMs));
    expect(vectors[0]!.values[0]).toBe(500);
    expect(vectors[0]!.eventTimes[1]!.getTime()).toBe(newest);
    expect(vectors[0]!.statuses[1]).toBe(FieldStatus.PRESENT);
    expect(vectors[1]!.statuses).toEqual([FieldStatus.NOT_FOUND, FieldStatus.NOT_FOUND, FieldStatus.NOT_FOUND, FieldStatus.NOT_FOUND]);
    await expect(online([cards[0]!], ['payment:rows_7d'])).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  it('of one entity that many writers change at once lose nothing', async () => {
    const random = seededRandom(2);
    const busy = randomPayments(random, ['busy'], 60);
    await Promise.all(
      busy.map((p) =>
        h.client.publishRows({
          view: 'payment',
          rows: [{ entity: { card: 'busy' }, eventTime: new Date(p.timeMs), values: { amount: p.amount, shop: p.shop } }],
        }),
      ),
    );
    payments.push(...busy);
    expectOracle((await online(['busy']))[0]!, oracle(payments, 'busy', nowMs));
  });

  it('take a late row into windows that were written long before', async () => {
    const late: Payment[] = [
      { card: cards[1]!, timeMs: nowMs - 20 * D - 5, amount: 1e6, shop: 'late' },
      { card: cards[1]!, timeMs: nowMs - 25 * 60 * S - 5, amount: -1e6, shop: 'late' },
      { card: cards[1]!, timeMs: nowMs - 400 * D, amount: 1e12, shop: 'beyond every window' },
    ];
    await h.sendRows('payment', late.map(rowOf));
    await h.settled();
    payments.push(...late);
    expectOracle((await online([cards[1]!]))[0]!, oracle(payments, cards[1]!, nowMs));
  });

  it('expire in Redis with the last row that a window can see', async () => {
    const redis = new Redis(h.redisUrl);
    const [key] = await redis.keys(`hr:{default/card/${cards[2]!}}:payment:windows`);
    const expiresMs = await redis.pexpiretime(key!);
    const newest = Math.max(...payments.filter((p) => p.card === cards[2]).map((p) => p.timeMs));
    expect(expiresMs).toBe(newest + 30 * D + D + 60_000);
    redis.disconnect();
  });

  it('read the same after Redis was emptied and rebuilt, and after a change of the aggregations', async () => {
    const all = [...cards, 'busy'];
    const before = await online(all);
    await h.flushOnline();
    expect((await online([cards[0]!]))[0]).toEqual(NAMES.map(() => null));
    await h.client.rebuildOnline({ view: 'payment' });
    expect(await online(all)).toEqual(before);
    // A single row brings a whole entity back, too: what is not there is made anew.
    await h.flushOnline();
    const one = payments.find((p) => p.card === cards[3])!;
    await h.sendRows('payment', [rowOf(one)]);
    await h.settled();
    expect(await online([cards[3]!])).toEqual([before[3]]);
    await h.apply(DEFINITIONS.replace(AGGREGATIONS, `${AGGREGATIONS}\n  - { function: max, column: amount, windows: [7d] }`));
    await vi.waitFor(async () => expect(await online(all)).toEqual(before), { timeout: 20_000, interval: 50 });
    const [vector] = await online([cards[4]!], ['payment:amount_max_7d']);
    const within = payments.filter(
      (p) => p.card === cards[4] && p.timeMs >= Math.floor((nowMs - 7 * D) / (6 * H)) * 6 * H && p.timeMs <= nowMs,
    );
    expect(vector![0]).toBe(Math.max(...within.map((p) => p.amount!).filter((a) => a !== null)));
  });
});

describe('windows in a training set', () => {
  it('are, bit by bit, what was served at each label’s moment', async () => {
    const startMs = nowMs;
    const moments = [0, 1500, 9 * S, 50 * S, 31 * 60 * S, 90 * 60 * S, 3 * H, 30 * H, 5 * D].map((ms) => startMs + ms);
    const served: { card: string; atMs: number; values: WindowValue[] }[] = [];
    for (const atMs of moments) {
      nowMs = atMs;
      const all = [...cards, 'busy', 'nobody'];
      for (const [i, values] of (await online(all)).entries()) served.push({ card: all[i]!, atMs, values });
    }
    const rowsOfLabels = served.map(({ card, atMs }, i) => ({
      entity: { card, purchase: `p${i}` },
      eventTime: new Date(atMs),
      values: { fraud: i % 2 === 0 },
    }));
    expect(await h.client.publishRows({ view: 'fraud', rows: rowsOfLabels })).toMatchObject({ accepted: served.length });
    const set = await h.client.buildTrainingSet({
      labelView: 'fraud',
      labelFeature: 'fraud',
      features: ['limit:limit', ...FEATURES],
      from: new Date(startMs),
      to: new Date(nowMs + 1),
    });
    expect(set.rows).toBe(served.length);
    expect(set.query).toContain('-- c1 is payment:rows_10s: count(*) over 10000 ms');
    const answer = await fetch(`${h.service.httpUrl}${set.path}`);
    const rows = await parquetReadObjects({ file: await answer.arrayBuffer() });
    for (const row of rows) {
      const same = served.find((s) => s.card === row.card && s.atMs === (row.event_time as Date).getTime())!;
      const values = NAMES.map((name) => {
        const value = (row[`payment__${name}`] ?? null) as WindowValue | bigint;
        return typeof value === 'bigint' ? Number(value) : value;
      });
      expect(values).toEqual(same.values);
      expect(row.limit__limit).toBe(row.card === cards[0] ? 500n : null);
    }
    const again = await h.client.buildTrainingSet({
      labelView: 'fraud',
      labelFeature: 'fraud',
      features: ['limit:limit', ...FEATURES],
      from: new Date(startMs),
      to: new Date(nowMs + 1),
    });
    expect(again.hash).toBe(set.hash);
    nowMs = startMs;
  });
});
