import { zstdDecompressSync } from 'node:zlib';
import { seededRandom } from '@headrace/base/random';
import { FieldStatus } from '@headrace/contracts/features/v1/features';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHarness, type Harness } from './harness.js';

const DEFINITIONS = `
kind: Entity
name: shop
joinKeys: [id]
---
kind: FeatureView
name: sales
entity: shop
features:
  - { name: amount, type: float64 }
  - { name: count, type: int64 }
  - { name: city, type: string }
  - { name: open, type: bool }
  - { name: founded, type: timestamp }
  - { name: taste, type: embedding, dimension: 2 }
timeFeatures:
  - { kind: calendar, name: hour, part: hour, timeZone: America/New_York }
  - { kind: calendar, name: holiday, part: is_holiday, country: US, timeZone: America/New_York }
  - { kind: calendar, name: founded_weekday, part: day_of_week, of: founded }
---
kind: FeatureView
name: clock
entity: shop
features: [{ name: seen, type: int64 }]
timeFeatures:
  - { kind: recency, name: since_seen }
  - { kind: calendar, name: asked_at, part: year, of: now }
---
kind: FeatureView
name: outcome
entity: shop
online: false
labels: true
features: [{ name: label, type: bool }, { name: offer, type: float64 }]
---
kind: OnDemandView
name: derived
inputs:
  amount: sales:amount
  count: sales:count
  city: sales:city
  open: sales:open
  founded: sales:founded
  taste: sales:taste
  hour: sales:hour
request: [{ name: offer, type: float64 }]
features:
  - { name: mean, type: float64, expression: 'if(count > 0, amount / count, null)' }
  - { name: text, type: string, expression: "concat(upper(coalesce(city, 'nowhere')), if(open, ' open', ' shut'))" }
  - { name: weekday, type: int64, expression: "day_of_week(founded, 'Asia/Tokyo')" }
  - { name: late, type: bool, expression: 'hour >= 18 or hour < 6' }
  - { name: warmth, type: float64, expression: 'at(taste, 0) * 3 - norm(taste)' }
  - { name: margin, type: float64, expression: 'offer - coalesce(amount, 0)' }
  - { name: next, type: timestamp, expression: 'add_seconds(founded, count * 60)' }
---
kind: FeatureService
name: all
features: [derived, sales, { view: sales, feature: hour, as: sales_hour_again }]
`;

const START = Date.UTC(2024, 2, 9);
const IDS = Array.from({ length: 60 }, (_, i) => `s${i}`);
const ENTITIES = IDS.map((id, i) => ({ keys: { id }, request: { offer: i } }));

let h: Harness;
beforeAll(async () => {
  h = await startHarness();
  await h.apply(DEFINITIONS);
  const random = seededRandom(41);
  const orNull = <T>(value: T): T | null => (random() < 0.25 ? null : value);
  // Three days round the change of New York's clocks.
  const rows = IDS.flatMap((id) =>
    random() < 0.1
      ? []
      : [
          {
            entity: { id },
            eventTime: new Date(START + Math.floor(random() * 3 * 86_400_000)),
            values: {
              amount: orNull(random() * 1e6 - 5e5),
              count: orNull(Math.floor(random() * 4)),
              city: orNull(random() < 0.5 ? 'Zürich' : 'x|y'),
              open: orNull(random() < 0.5),
              founded: orNull(Math.floor(random() * 1.7e12)),
              taste: orNull([random(), random()]),
            },
          },
        ],
  );
  await h.client.publishRows({ view: 'sales', rows });
  await h.client.publishRows({
    view: 'outcome',
    rows: IDS.map((id, i) => ({ entity: { id }, eventTime: new Date(START + 4 * 86_400_000), values: { label: true, offer: i } })),
  });
});
afterAll(() => h.close());

async function trainingRows(request: object): Promise<Record<string, unknown>[]> {
  const set = await h.client.buildTrainingSet({
    labelView: 'outcome',
    labelFeature: 'label',
    from: new Date(START),
    to: new Date(START + 10 * 86_400_000),
    ...request,
  });
  const file = await (await fetch(`${h.service.httpUrl}${set.path}`)).arrayBuffer();
  const rows = await parquetReadObjects({ file, compressors: { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) } });
  return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])));
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  return value instanceof Date ? value.getTime() : (value ?? null);
}

describe('derived features', () => {
  it('are the same bits online and in a training set, for every entity and null', async () => {
    const { names, vectors } = await h.client.getOnlineFeatures({ featureService: 'all', entities: ENTITIES });
    const online = new Map(IDS.map((id, i) => [id, Object.fromEntries(names.map((name, n) => [name, vectors[i]!.values[n] ?? null]))]));
    const offline = await trainingRows({ featureService: 'all' });
    expect(offline).toHaveLength(IDS.length);
    for (const { id, event_time: _time, label: _label, ...features } of offline) expect(features).toEqual(online.get(id as string));
    // And they say something: each of them is there for some entities and differs between them.
    for (const name of names) expect(new Set([...online.values()].map((row) => JSON.stringify(row[name]))).size, name).toBeGreaterThan(1);
  });

  it('are computed as declared', async () => {
    const time = new Date('2024-07-04T03:30:00Z');
    await h.client.publishRows({
      view: 'sales',
      rows: [
        {
          entity: { id: 'one' },
          eventTime: time,
          values: { amount: 10, count: 4, open: true, founded: '2024-01-01T20:00:00Z', taste: [3, 4] },
        },
      ],
    });
    const features = [
      'derived:mean',
      'derived:text',
      'derived:weekday',
      'derived:late',
      'derived:warmth',
      'derived:margin',
      'derived:next',
    ];
    features.push('sales:hour', 'sales:holiday', 'sales:founded_weekday', 'sales:amount');
    const { vectors } = await h.client.getOnlineFeatures({ features, entities: [{ keys: { id: 'one' }, request: { offer: 12.5 } }] });
    const next = Date.parse('2024-01-01T20:04:00Z');
    // Half past eleven in the evening of the third, in New York.
    expect(vectors[0]!.values).toEqual([2.5, 'NOWHERE open', 2, true, 4, 2.5, next, 23, false, 1, 10]);
    expect(vectors[0]!.eventTimes[0]).toEqual(time);
  });

  it('say why they are null', async () => {
    const features = ['derived:mean', 'derived:text', 'sales:hour'];
    const { vectors } = await h.client.getOnlineFeatures({ features, entities: [{ keys: { id: 'ghost' }, request: { offer: null } }] });
    expect(vectors[0]!.values).toEqual([null, 'NOWHERE shut', null]);
    expect(vectors[0]!.statuses).toEqual([FieldStatus.NOT_FOUND, FieldStatus.PRESENT, FieldStatus.NOT_FOUND]);
  });

  it('measure recency to the request online, and to the label row in a training set', async () => {
    const before = Date.now();
    await h.client.publishRows({
      view: 'clock',
      rows: [{ entity: { id: 's0' }, eventTime: new Date(before - 5_000), values: { seen: 1 } }],
    });
    const { vectors } = await h.client.getOnlineFeatures({
      features: ['clock:since_seen', 'clock:asked_at'],
      entities: [{ keys: { id: 's0' } }],
    });
    const [age, year] = vectors[0]!.values as number[];
    expect(age).toBeGreaterThanOrEqual(5);
    expect(age).toBeLessThanOrEqual((Date.now() - before) / 1000 + 5);
    expect(year).toBe(new Date().getUTCFullYear());
    await h.client.publishRows({
      view: 'clock',
      rows: [{ entity: { id: 's1' }, eventTime: new Date(START + 4 * 86_400_000 - 90_500), values: { seen: 1 } }],
    });
    const rows = await trainingRows({ features: ['clock:since_seen', 'clock:asked_at'] });
    expect(rows.find(({ id }) => id === 's1')).toMatchObject({ clock__since_seen: 90.5, clock__asked_at: 2024 });
    expect(rows.find(({ id }) => id === 's2')).toMatchObject({ clock__since_seen: null, clock__asked_at: null });
  });

  it('take request values by column over HTTP, as Feast sends them', async () => {
    const answer = await fetch(`${h.service.httpUrl}/get-online-features`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ features: ['derived:margin'], entities: { id: ['one'] }, request_context: { offer: [11] } }),
    });
    expect(((await answer.json()) as { results: { values: unknown[] }[] }).results[1]!.values).toEqual([1]);
  });

  it('refuse a request without its values, and a training set whose labels have none', async () => {
    const features = ['derived:margin'];
    const entities = [{ keys: { id: 'one' } }];
    await expect(h.client.getOnlineFeatures({ features, entities })).rejects.toThrow(/lacks the request value offer/);
    const wrong = [{ keys: { id: 'one' }, request: { offer: 'x' } }];
    await expect(h.client.getOnlineFeatures({ features, entities: wrong })).rejects.toThrow(
      /request value offer is a string; float64 wanted/,
    );
    await h.apply('kind: FeatureView\nname: bare\nentity: shop\nlabels: true\nfeatures: [{ name: label, type: bool }]');
    await expect(trainingRows({ features, labelView: 'bare' })).rejects.toThrow(
      /request value offer.*label view bare, which has no such feature/,
    );
  });

  it('are refused at apply with the place of the mistake', async () => {
    const bad = 'kind: OnDemandView\nname: bad\ninputs: { c: sales:city }\nfeatures: [{ name: f, type: int64, expression: "1 + c" }]';
    await expect(h.apply(bad)).rejects.toThrow(/OnDemandView bad: feature f: at 3: \+ wants numbers, not int64 and string/);
  });
});
