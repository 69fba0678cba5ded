import { seededRandom } from '@headrace/base/random';
import { AlertChanged } from '@headrace/contracts/events/v1/events';
import { FeatureQualityDefinition, type FeatureStatistics, type ViewQuality } from '@headrace/contracts/features/v1/quality';
import { alertChanged } from '@headrace/events/catalog';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { follow, startHarness, type Harness } from './harness.js';

const HOUR_MS = 3_600_000;
const DAY = Date.UTC(2025, 0, 6);

let h: Harness;
let quality: Client<typeof FeatureQualityDefinition>;
let alerts: Awaited<ReturnType<typeof follow>>;

beforeAll(async () => {
  h = await startHarness({ qualityEveryMs: 3_600_000 });
  quality = createClient(FeatureQualityDefinition, h.service.grpcAddress, { defaultTimeoutMs: 30_000 });
  await h.kafka.admin().ensureTopics([alertChanged as never]);
  alerts = await follow(h.kafka, alertChanged.topic, 'quality-reader');
  await h.apply(`
kind: Entity
name: person
joinKeys: [person_id]
---
kind: FeatureView
name: order
entity: person
quality: { window: 1h, keep: 12, reference: { windows: 4 }, minRows: 100 }
features: [{ name: amount, type: float64 }, { name: city, type: string }, { name: card, type: string, pii: true }]
---
kind: FeatureView
name: plain
entity: person
features: [{ name: amount, type: float64 }]
`);
});
afterAll(async () => {
  quality.close();
  await alerts.stop();
  await h.close();
});

interface Row {
  readonly entity: { person_id: string };
  readonly eventTime: Date;
  readonly values: { amount: number | null; city: string; card: string };
}

/** Rows of one hour, none alike. */
function rowsOf(hour: number, { count = 200, shift = 0, cities = ['Lowell', 'Boston'] } = {}): Row[] {
  const random = seededRandom(hour);
  return Array.from({ length: count }, (_, i) => ({
    entity: { person_id: `p${hour}-${i}` },
    eventTime: new Date(DAY + hour * HOUR_MS + i * 1_000),
    values: { amount: random() < 0.1 ? null : shift + random() * 100, city: cities[i % cities.length]!, card: `card-${i}` },
  }));
}

async function send(rows: readonly Row[]): Promise<void> {
  for (let from = 0; from < rows.length; from += 50) await h.sendRows('order', rows.slice(from, from + 50));
  await h.settled();
}

const list = async (windows = 168): Promise<ViewQuality> => (await quality.listQuality({ view: 'order', windows })).views[0]!;
const judge = async (): Promise<string[]> =>
  (await quality.judge({ view: 'order' })).views[0]!.verdicts.filter(({ bad }) => bad).map(({ feature, metric }) => `${feature} ${metric}`);
const said = async (): Promise<string[]> =>
  (await alerts.all()).map(({ value }) => {
    const { alert } = AlertChanged.decode(value!);
    return `${alert!.kind} ${alert!.subject} ${alert!.metric} ${alert!.state.replace('ALERT_STATE_', '')}`;
  });

/** By hand, over the very rows. */
function oracle(rows: readonly Row[]): Pick<FeatureStatistics, 'count' | 'nulls'> & { mean: number; std: number; sorted: number[] } {
  const sorted = rows.flatMap(({ values }) => (values.amount === null ? [] : [values.amount])).sort((a, b) => a - b);
  const mean = sorted.reduce((a, b) => a + b, 0) / sorted.length;
  const std = Math.sqrt(sorted.reduce((a, b) => a + (b - mean) ** 2, 0) / sorted.length);
  return { count: sorted.length, nulls: rows.length - sorted.length, mean, std, sorted };
}

describe('quality statistics', () => {
  it('are those of the stored rows, whatever the order, the repetition and the number of writers', async () => {
    const hours = [0, 1, 2, 3];
    const random = seededRandom(9);
    const events = hours
      .flatMap((hour) => rowsOf(hour))
      .flatMap((row) => Array.from({ length: 1 + Math.floor(random() * 3) }, () => row))
      .sort(() => random() - 0.5);
    const pushed = h.client.publishRows({ view: 'order', rows: events.slice(0, 300) });
    await send(events);
    await pushed;
    const { windows } = await list();
    expect(windows.map(({ start, rows }) => [(start!.getTime() - DAY) / HOUR_MS, rows])).toEqual([3, 2, 1, 0].map((hour) => [hour, 200]));
    for (const hour of hours) {
      const [amount, city, card] = windows[3 - hour]!.features;
      const { sorted, mean, std, ...counts } = oracle(rowsOf(hour));
      expect(amount).toMatchObject(counts);
      expect([amount!.mean! / mean, amount!.std! / std]).toEqual([expect.closeTo(1, 12), expect.closeTo(1, 12)]);
      for (const { q, value } of amount!.quantiles) {
        const exact = sorted[Math.floor(q * (sorted.length - 1))]!;
        expect(Math.abs(value - exact)).toBeLessThanOrEqual(0.01 * exact);
      }
      expect(amount!.histogram.reduce((sum, bin) => sum + bin.count, 0)).toBe(counts.count);
      expect(city).toMatchObject({
        distinct: 2,
        categories: [
          { value: 'Boston', count: 100 },
          { value: 'Lowell', count: 100 },
        ],
      });
      expect(card).toMatchObject({ count: 200, nulls: 0, distinct: 0, categories: [] });
    }
  });

  it('are the same after a restart in the middle of a delivery', async () => {
    const before = await list();
    await h.stop();
    await h.sendRows('order', [...rowsOf(3).slice(0, 50), ...rowsOf(2).slice(10, 60)]);
    quality.close();
    await h.start();
    quality = createClient(FeatureQualityDefinition, h.service.grpcAddress, { defaultTimeoutMs: 30_000 });
    await h.settled();
    expect(await list()).toEqual(before);
  });

  it('fire once for a window that is too far from those before it, and are resolved by one that is not', async () => {
    await send(rowsOf(4));
    expect(await judge()).toEqual([]);
    await send(rowsOf(5, { shift: 80, cities: ['Lowell', 'Boston', 'Salem'] }));
    expect(await judge()).toEqual(['amount mean_shift', 'amount psi', 'city new_categories', 'city psi']);
    expect(await judge()).toHaveLength(4);
    const { verdicts } = await list();
    expect(verdicts.find(({ metric }) => metric === 'new_categories')).toMatchObject({ newCategories: ['Salem'] });
    await eventually('both are told', async () => (await said()).length === 2);
    expect((await said()).sort()).toEqual(['quality order:amount psi FIRING', 'quality order:city new_categories FIRING']);
    // The strange hour is among the four before the judged one until then.
    for (const hour of [6, 7, 8, 9, 10]) await send(rowsOf(hour));
    expect(await judge()).toEqual([]);
    await eventually('both ends are told', async () => (await said()).length === 4);
    expect((await said()).slice(2).every((text) => text.endsWith('RESOLVED'))).toBe(true);
  });

  it('of the newest windows are kept, and an older row brings none back', async () => {
    for (let hour = 11; hour < 20; hour++) await send(rowsOf(hour, { count: 5 }));
    const kept = async (): Promise<number[]> => (await list()).windows.map(({ start }) => (start!.getTime() - DAY) / HOUR_MS);
    const newest = Array.from({ length: 12 }, (_, i) => 19 - i);
    expect(await kept()).toEqual(newest);
    await send(rowsOf(-3));
    expect(await kept()).toEqual(newest);
  });

  it('answer over HTTP, and are refused of a view without quality', async () => {
    const answer = await fetch(`${h.service.httpUrl}/feature-quality?view=order&windows=2`);
    expect(((await answer.json()) as { views: { windows: unknown[] }[] }).views[0]!.windows).toHaveLength(2);
    await expect(quality.listQuality({ view: 'plain' })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(quality.listQuality({ view: 'ghost' })).rejects.toMatchObject({ code: 'VIEW_UNKNOWN' });
  });
});
