import { FeatureHealthDefinition } from '@headrace/contracts/features/v1/health';
import { AlertChanged } from '@headrace/contracts/events/v1/events';
import { BLOB_HEADER_BYTES, compileBlobSchema, encodeBlob } from '@headrace/codec/feature-blob';
import { onlineKey } from '@headrace/codec/feature-key';
import { seededRandom } from '@headrace/base/random';
import { alertChanged } from '@headrace/events/catalog';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { follow, startHarness, type Harness } from './harness.js';

const HOUR_MS = 3_600_000;

let h: Harness;
let health: Client<typeof FeatureHealthDefinition>;
let redis: Redis;
let alerts: Awaited<ReturnType<typeof follow>>;

beforeAll(async () => {
  h = await startHarness({ inspectEveryMs: 3_600_000 });
  health = createClient(FeatureHealthDefinition, h.service.grpcAddress, { defaultTimeoutMs: 30_000 });
  redis = new Redis(h.redisUrl);
  await h.kafka.admin().ensureTopics([alertChanged as never]);
  alerts = await follow(h.kafka, alertChanged.topic, 'alert-reader');
  await h.apply(`
kind: Entity
name: person
joinKeys: [person_id]
---
kind: FeatureView
name: account
entity: person
features: [{ name: balance, type: float64 }, { name: city, type: string }, { name: tax, type: int64, pii: true }]
---
kind: FeatureView
name: visit
entity: person
ttl: 2h
freshness: { maxAge: 30m, fraction: 0.9, window: 1h }
features: [{ name: page, type: string }]
`);
  const random = seededRandom(3);
  const now = Date.now();
  const rows = Array.from({ length: 600 }, (_, i) => ({
    entity: { person_id: `p${i % 60}` },
    eventTime: new Date(now - Math.floor(random() * 20) * 60_000),
    values: { balance: random() < 0.1 ? null : random(), city: ['Lowell', 'é'][i % 2], tax: i },
  }));
  // Disorder and repetition: each row up to three times, in any order.
  const events = rows.flatMap((row) => Array.from({ length: 1 + Math.floor(random() * 3) }, () => row)).sort(() => random() - 0.5);
  for (let from = 0; from < events.length; from += 50) await h.sendRows('account', events.slice(from, from + 50));
  await h.sendRows(
    'visit',
    Array.from({ length: 20 }, (_, i) => ({ entity: { person_id: `p${i}` }, eventTime: new Date(now - 60_000), values: { page: 'home' } })),
  );
  await h.settled();
});
afterAll(async () => {
  health.close();
  redis.disconnect();
  await alerts.stop();
  await h.close();
});

const keyOf = (person: string, view = 'account'): string => onlineKey('default', 'person', person, view);
const said = async (): Promise<string[]> =>
  (await alerts.all()).map(({ value }) => {
    const { alert } = AlertChanged.decode(value!);
    return `${alert!.kind} ${alert!.subject} ${alert!.state.replace('ALERT_STATE_', '')}`;
  });

describe('online against offline', () => {
  it('agrees after disorder, repetition and lateness, also while rows flow in', async () => {
    const flow = h.sendRows(
      'account',
      Array.from({ length: 60 }, (_, i) => ({
        entity: { person_id: `p${i}` },
        eventTime: new Date(),
        values: { balance: 1, city: 'x', tax: 1 },
      })),
    );
    const { views, findings } = await health.inspect({ view: 'account' });
    await flow;
    await h.settled();
    expect(findings).toEqual([]);
    expect(views).toMatchObject([{ view: 'account', checked: 60 }]);
    expect((await health.inspect({})).findings).toEqual([]);
    expect(await said()).toEqual([]);
  });

  it('names feature, entity and row of a corrupted value, fires once, and is resolved when it is mended', async () => {
    const blob = (await redis.getBuffer(keyOf('p7')))!;
    const broken = Buffer.from(blob);
    broken.writeDoubleLE(12_345, BLOB_HEADER_BYTES + 1); // behind one byte of null bits: the balance
    await redis.set(keyOf('p7'), broken);
    const { findings } = await health.inspect({ view: 'account' });
    expect(findings).toMatchObject([
      { view: 'account', feature: 'balance', entity: { person_id: 'p7' }, kind: 'mismatch', served: '12345', expected: '1' },
    ]);
    expect(findings[0]!.eventTime!.getTime()).toBe(blob.readDoubleLE(5));
    await health.inspect({ view: 'account' });
    await eventually('the alert is told', async () => (await said()).length > 0);
    expect(await said()).toEqual(['skew account:balance FIRING']);
    await redis.set(keyOf('p7'), blob);
    expect((await health.inspect({ view: 'account' })).findings).toEqual([]);
    await eventually('the end is told', async () => (await said()).length > 1);
    expect(await said()).toEqual(['skew account:balance FIRING', 'skew account:balance RESOLVED']);
    const { alerts: listed } = await health.listFeatureAlerts({});
    expect(listed.map(({ subject, state }) => `${subject} ${state}`)).toEqual(['account:balance ALERT_STATE_RESOLVED']);
  });

  it('finds what is missing online, what is only there, and hides what is personal', async () => {
    await redis.del(keyOf('p8'));
    const layout = compileBlobSchema([
      { name: 'balance', type: 'float64' },
      { name: 'city', type: 'string' },
      { name: 'tax', type: 'int64' },
    ]);
    const stamp = { eventTimeMs: Date.now(), ingestTimeMs: Date.now(), tieBreak: 1 };
    await redis.set(keyOf('ghost'), encodeBlob(layout, [1, 'x', 2], stamp));
    const { findings, views } = await health.inspect({ view: 'account' });
    expect(findings.map(({ entity, feature, kind }) => `${entity.person_id} ${feature} ${kind}`).sort()).toEqual([
      'ghost balance extra',
      'ghost city extra',
      'ghost tax extra',
      'p8 balance missing',
      'p8 city missing',
      'p8 tax missing',
    ]);
    expect(
      findings.filter(({ feature }) => feature === 'tax').every(({ served, expected }) => served + expected === '"(hidden)""(hidden)"'),
    ).toBe(true);
    expect(views[0]!.features.every(({ missing, extra }) => missing === 1 && extra === 1)).toBe(true);
    await redis.del(keyOf('ghost'));
    await h.client.rebuildOnline({ view: 'account' });
    expect((await health.inspect({ view: 'account' })).findings).toEqual([]);
    const metrics = await (await fetch(`${h.service.httpUrl}/metrics`)).text();
    expect(metrics).toMatch(/headrace_feature_store_online_skew_total\{view="account",feature="balance",kind="mismatch"/);
    const over = (await (await fetch(`${h.service.httpUrl}/feature-health?view=account`)).json()) as { findings: { feature: string }[] };
    expect(over.findings.some(({ feature }) => feature === 'balance')).toBe(true);
  });
});

describe('freshness', () => {
  it('fires when too many entities are too old for the objective, and not before', async () => {
    // Inspected once before, with all views.
    const [before] = (await health.inspect({ view: 'visit' })).views;
    expect(before!.freshness).toMatchObject({ young: 40, sampled: 40, burnRate: 0 });
    expect(await said()).not.toContain('freshness visit FIRING');
    const late = Array.from({ length: 20 }, (_, i) => ({
      entity: { person_id: `q${i}` },
      eventTime: new Date(Date.now() - HOUR_MS),
      values: { page: 'x' },
    }));
    await h.sendRows('visit', late);
    await h.settled();
    const [after] = (await health.inspect({ view: 'visit' })).views;
    expect(after!.freshness).toMatchObject({ young: 60, sampled: 80 });
    expect(after!.freshness!.burnRate).toBeCloseTo(20 / 80 / 0.1, 6);
    await eventually('the alert is told', async () => (await said()).includes('freshness visit FIRING'));
  });
});
