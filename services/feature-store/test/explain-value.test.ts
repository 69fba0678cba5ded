import { zstdDecompressSync } from 'node:zlib';
import type { Clock } from '@headrace/base/clock';
import { seededRandom } from '@headrace/base/random';
import { ExplainValueResponse, FeatureCatalogueDefinition } from '@headrace/contracts/features/v1/catalogue';
import { Destination, FieldStatus } from '@headrace/contracts/features/v1/features';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { CLOCK } from '@headrace/platform/platform-module';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startHarness, type Harness } from './harness.js';

const SECRET = 'Mallory';
const DEFINITIONS = `
kind: Entity
name: card
joinKeys: [bank, card]
---
kind: FeatureView
name: seen
entity: card
ttl: 15m
features: [{ name: x, type: float64 }, { name: place, type: string }, { name: holder, type: string, pii: true }]
aggregations:
  - { function: sum, column: x, windows: [10m, 3h] }
  - { function: last, column: holder, windows: [3h] }
  - { function: count, windows: [10m], name: rows }
timeFeatures: [{ kind: recency, name: age }]
---
kind: FeatureView
name: label
entity: card
online: false
labels: true
features: [{ name: label, type: bool }, { name: offer, type: float64 }]
---
kind: OnDemandView
name: offered
inputs: { x: seen:x, total: seen:x_sum_3h, holder: seen:holder }
request: [{ name: offer, type: float64 }]
features:
  - { name: margin, type: float64, expression: 'offer - coalesce(x, total)' }
  - { name: who, type: string, expression: 'holder' }
`;
const FEATURES = ['seen:x', 'seen:place', 'seen:x_sum_10m', 'seen:x_sum_3h', 'seen:rows_10m', 'seen:age', 'offered:margin'];
const MINUTE = 60_000;
const OFFER = 7;

let h: Harness;
let catalogue: Client<typeof FeatureCatalogueDefinition>;
const nowMs = Math.floor(Date.now() / MINUTE) * MINUTE;
const entityOf = (card: number): Record<string, string> => ({ bank: `b|${card % 2}`, card: `c${card}` });
const CARDS = [0, 1, 2, 3, 4];

beforeAll(async () => {
  h = await startHarness({ ingestBatchEvents: 7 });
  catalogue = createClient(FeatureCatalogueDefinition, h.service.grpcAddress, { defaultTimeoutMs: 30_000 });
  await h.apply(DEFINITIONS);
  vi.spyOn(h.service.app.get<Clock>(CLOCK), 'nowMs').mockImplementation(() => nowMs);
  // Event times on a coarse grid, so that many rows share an instant; arrivals in any order, some rows twice, one ahead of the clock.
  const random = seededRandom(11);
  const rows = CARDS.slice(0, 4).flatMap((card) =>
    Array.from({ length: 25 }, () => ({
      card,
      eventMs: nowMs - Math.floor(random() * 50) * 5 * MINUTE,
      values: {
        x: random() < 0.3 ? null : Math.floor(random() * 5),
        place: ['Lowell', 'Salem', null][Math.floor(random() * 3)],
        holder: SECRET,
      },
    })),
  );
  rows.push({ card: 1, eventMs: nowMs + MINUTE, values: { x: 99, place: 'ahead', holder: SECRET } });
  const deliveries = [...rows, ...rows.filter(() => random() < 0.3)].sort(() => random() - 0.5);
  const events = deliveries.map(({ card, eventMs, values }) => ({
    view: 'seen',
    row: { entity: entityOf(card), eventTime: new Date(eventMs).toISOString(), values },
    arrivedMs: Math.max(eventMs - 4 * MINUTE, nowMs - Math.floor(random() * 250) * MINUTE),
  }));
  await h.sendAt(events);
  const labels = CARDS.flatMap((card) =>
    Array.from({ length: 8 }, () => ({
      view: 'label',
      row: {
        entity: entityOf(card),
        eventTime: new Date(nowMs - Math.floor(random() * 2500) * 6_000).toISOString(),
        values: { label: true, offer: OFFER },
      },
      arrivedMs: nowMs - 300 * MINUTE,
    })),
  );
  await h.sendAt(labels.map((one) => ({ ...one, arrivedMs: Math.max(one.arrivedMs, Date.parse(one.row.eventTime) - 4 * MINUTE) })));
  await h.settled();
  expect(await h.deadLetters()).toEqual([]);
});
afterAll(async () => {
  catalogue.close();
  vi.restoreAllMocks();
  await h.close();
});

const explain = (feature: string, entity: Record<string, string>, more: { at?: Date; asOf?: Date } = {}): Promise<ExplainValueResponse> =>
  catalogue.explainValue({ feature, entity, request: { offer: OFFER }, ...more });

async function joined(more: object = {}): Promise<Record<string, unknown>[]> {
  const set = await h.client.buildTrainingSet({
    labelView: 'label',
    labelFeature: 'label',
    features: FEATURES,
    from: new Date(nowMs - 24 * 60 * MINUTE),
    to: new Date(nowMs + 1),
    ...more,
  });
  const file = await (await fetch(`${h.service.httpUrl}${set.path}`)).arrayBuffer();
  return parquetReadObjects({ file, compressors: { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) } });
}

const plain = (value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : (value ?? null));

async function expectJoin(rows: Record<string, unknown>[], asOf?: Date): Promise<Map<string, number>> {
  const codes = new Map<string, number>();
  for (const row of rows) {
    const entity = { bank: row['bank'] as string, card: row['card'] as string };
    for (const feature of FEATURES) {
      const told = await explain(feature, entity, { at: row['event_time'] as Date, ...(asOf ? { asOf } : {}) });
      const context = `${feature} of ${entity.card} at ${told.at!.toISOString()}: ${told.reason}`;
      expect(told.value ?? null, context).toEqual(plain(row[feature.replace(':', '__')]));
      for (const { lost } of told.origins) for (const { code } of lost) codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  }
  return codes;
}

describe('the explanation of a value, over a disordered history with ties and duplicates', () => {
  it('is what the point-in-time join gives a label of that moment', async () => {
    const rows = await joined();
    expect(rows.length).toBeGreaterThan(30);
    const codes = await expectJoin(rows);
    // Every way to lose was met.
    expect([...codes.keys()].sort()).toEqual(['before_window', 'earlier_arrival', 'later', 'older_event', 'too_old']);
  });

  it('is what the join gives as of a moment of knowledge', async () => {
    for (const asOf of [new Date(nowMs - 40 * MINUTE), new Date(nowMs - 130 * MINUTE)]) {
      const rows = await joined({ asOf });
      expect(rows.length).toBeGreaterThan(10);
      const codes = await expectJoin(rows, asOf);
      expect(codes.get('not_arrived')).toBeGreaterThan(0);
    }
  });

  it('is what the online store serves now, and says so', async () => {
    const { vectors } = await h.client.getOnlineFeatures({
      features: FEATURES,
      entities: CARDS.map((card) => ({ keys: entityOf(card), request: { offer: OFFER } })),
    });
    for (const card of CARDS) {
      for (const [i, feature] of FEATURES.entries()) {
        const told = await explain(feature, entityOf(card));
        expect([told.value ?? null, told.status, told.eventTime?.getTime()], told.reason).toEqual([
          vectors[card]!.values[i] ?? null,
          vectors[card]!.statuses[i],
          vectors[card]!.eventTimes[i]!.getTime() || undefined,
        ]);
        expect(told.origins.map(({ served }) => served?.agrees)).toEqual(told.origins.map(() => true));
      }
    }
    // The row ahead of the clock is what a caller gets; a training set of this moment does not see it.
    expect((await explain('seen:x', entityOf(1))).value).toBe(99);
    expect((await explain('seen:x', entityOf(1), { at: new Date(nowMs) })).origins[0]!.lost).toContainEqual(
      expect.objectContaining({ code: 'later', row: expect.objectContaining({ value: 99 }) as object }),
    );
    expect((await explain('seen:x', entityOf(4))).status).toBe(FieldStatus.NOT_FOUND);
  });
});

describe('an explanation', () => {
  const at = (minutes: number): Date => new Date(nowMs - minutes * MINUTE);
  const entity = { bank: 'b', card: 'told' };
  const row = (minutes: number, x: number | null, arrivedMinutes: number): Parameters<Harness['sendAt']>[0][number] => ({
    view: 'seen',
    row: { entity, eventTime: at(minutes).toISOString(), values: { x, holder: `${SECRET} ${x}` } },
    arrivedMs: at(arrivedMinutes).getTime(),
  });

  beforeAll(async () => {
    await h.sendAt([row(60, 1, 60), row(50, 2, 49), row(50, 3, 45), row(50, 2, 30), row(20, null, 10), row(5, 8, 5)]);
    await h.settled();
  });

  it('names the winner, the losers and why they lost', async () => {
    const { value, reason, origins } = await explain('seen:x', entity, { at: at(40) });
    expect(value).toBe(2);
    expect(reason).toContain(`seen:x comes from the row of ${at(50).toISOString()}, which arrived`);
    expect(origins[0]!.lost.map(({ row: lost, code }) => [lost!.value ?? null, code])).toEqual([
      [8, 'later'],
      [null, 'later'],
      [3, 'earlier_arrival'],
      [1, 'older_event'],
    ]);
    // Before it came again the other one won, and before that one came nothing had beaten it.
    expect((await explain('seen:x', entity, { at: at(40), asOf: at(44) })).value).toBe(3);
    const early = await explain('seen:x', entity, { at: at(40), asOf: at(47) });
    expect(early.value).toBe(2);
    expect(early.origins[0]!.lost.map(({ code }) => code)).toEqual(['later', 'later', 'not_arrived', 'older_event']);
  });

  it('tells a null in the newest row from no row and from an expired one', async () => {
    const nothing = await explain('seen:x', entity, { at: at(15) });
    expect([nothing.status, nothing.value ?? null]).toEqual([FieldStatus.NULL_VALUE, null]);
    expect(nothing.reason).toMatch(/is null, because the row of .* has no value for it; older rows do not fill it in/);
    const before = await explain('seen:x', entity, { at: at(61) });
    expect([before.status, before.origins[0]!.row]).toEqual([FieldStatus.NOT_FOUND, undefined]);
    const late = await explain('seen:x', entity, { at: new Date(nowMs + 600 * MINUTE) });
    expect([late.status, late.origins[0]!.lost[0]!.code]).toEqual([FieldStatus.OUTSIDE_MAX_AGE, 'too_old']);
    expect(late.reason).toContain('older than the time to live of 900000 ms');
  });

  it('shows the edges, hops and rows of a window', async () => {
    const { value, origins } = await explain('seen:x_sum_3h', entity, { at: at(40) });
    expect(value).toBe(6);
    const { window } = origins[0]!;
    expect(window).toMatchObject({ function: 'sum', column: 'x', windowMs: 180 * MINUTE, hopMs: 5 * MINUTE, rows: 3, to: at(40) });
    expect(window!.tiles.map(({ from, rows }) => [from!.getTime() <= at(50).getTime(), rows])).toEqual([
      [true, 2],
      [true, 1],
    ]);
    expect(window!.newestRows.map((one) => one.value)).toEqual([2, 3, 1]);
    const short = await explain('seen:x_sum_10m', entity, { at: at(45) });
    expect(short.origins[0]!.lost.map(({ code }) => code)).toEqual(['later', 'later', 'before_window']);
  });

  it('computes what is computed, from inputs that are explained each', async () => {
    const told = await explain('offered:margin', entity, { at: at(15) });
    expect(told.value).toBe(OFFER - 6);
    expect(told.reason).toContain('offer - coalesce(x, total), where x is seen:x, total is seen:x_sum_3h');
    expect(told.reason).toContain('seen:x is null value');
    expect(told.origins.map(({ reference }) => reference)).toEqual(['seen:x', 'seen:x_sum_3h']);
    await expect(catalogue.explainValue({ feature: 'offered:margin', entity })).rejects.toThrow(/lacks the request value offer/);
  });

  it('lets no personal value out, whatever is asked, and still says which row it is', async () => {
    for (const feature of ['seen:holder', 'seen:holder_last_3h', 'offered:who', 'offered:margin']) {
      for (const more of [{}, { at: at(40) }, { at: at(40), asOf: at(47) }]) {
        const told = await explain(feature, entity, more);
        expect(JSON.stringify(ExplainValueResponse.toJSON(told))).not.toContain(SECRET);
        expect(told.personal).toBe(feature !== 'offered:margin');
      }
    }
    const told = await explain('seen:holder', entity);
    expect(told.status).toBe(FieldStatus.PRESENT);
    expect(told.origins[0]!.row!.eventTime).toEqual(at(5));
  });

  it('shows that the online store has a row which the offline store was not given', async () => {
    const rows = [{ entity: { bank: 'b', card: 'told' }, eventTime: at(1), values: { x: 1000, holder: SECRET } }];
    await h.client.publishRows({ view: 'seen', rows, to: Destination.ONLINE });
    const { origins, value } = await explain('seen:x', entity);
    expect([value, origins[0]!.served]).toMatchObject([8, { value: 1000, agrees: false, eventTime: at(1) }]);
  });

  it('answers over HTTP, and refuses what is not there', async () => {
    const post = (body: object): Promise<Response> =>
      fetch(`${h.service.httpUrl}/catalogue/explain`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const answer = await post({ feature: 'seen:x', entity, at: at(40).toISOString() });
    const overGrpc = ExplainValueResponse.toJSON(await explain('seen:x', entity, { at: at(40) }));
    expect(await answer.json()).toEqual(JSON.parse(JSON.stringify(overGrpc)));
    for (const [body, status] of [
      [{ feature: 'seen', entity }, 400],
      [{ feature: 'seen:nothing', entity }, 400],
      [{ feature: 'offered:nothing', entity }, 400],
      [{ feature: 'nobody:x', entity }, 404],
      [{ feature: 'seen:x', entity: { card: 'told' } }, 400],
      [{ feature: 'seen:x', entity, at: 'yesterday' }, 400],
    ] as const)
      expect([(await post(body)).status, body], JSON.stringify(body)).toEqual([status, body]);
  });
});
