import { QuarantineDefinition } from '@headrace/contracts/features/v1/quarantine';
import { createClient } from '@headrace/platform/grpc/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHarness, type Harness } from './harness.js';

const definitions = (maximum: number): string => `
kind: Entity
name: person
joinKeys: [person_id]
---
kind: FeatureView
name: person
entity: person
features:
  - { name: age, type: int64, max: ${maximum} }
  - { name: name, type: string, pii: true }
`;

let h: Harness;
beforeAll(async () => {
  h = await startHarness();
  await h.apply(definitions(120));
});
afterAll(() => h.close());

interface Listed {
  readonly counts: { view: string; code: string; feature: string; rows: number }[];
  readonly rows: { id: number; origin: string; position: number; code: string; feature: string; reason: string; row: unknown }[];
}

async function list(query = ''): Promise<Listed> {
  return (await (await fetch(`${h.service.httpUrl}/quarantine?view=person${query}`)).json()) as Listed;
}

async function replay(body: object): Promise<unknown> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${h.service.httpUrl}/quarantine/replay`, { method: 'POST', headers, body: JSON.stringify(body) });
  return answer.json();
}

async function ageOf(id: string): Promise<unknown> {
  return (await h.client.getOnlineFeatures({ features: ['person:age'], entities: [{ keys: { person_id: id } }] })).vectors[0]!.values[0];
}

const row = (id: string, age: unknown, eventTime = '2016-01-01T00:00:00Z') => ({
  entity: { person_id: id },
  eventTime,
  values: { age, name: 'Ada' },
});

describe('the quarantine', () => {
  it('keeps refused rows of every door with reason, place and content, and masks personal values', async () => {
    await h.sendRows('person', [row('ok', 1), row('e', 130)]);
    await h.settled();
    await h.client.publishRows({
      view: 'person',
      rows: [{ entity: { person_id: 'p' }, eventTime: new Date('2016-01-01T00:00:00Z'), values: { age: 140, name: 'Eve' } }],
    });
    const { counts, rows } = await list();
    expect(counts).toEqual([{ view: 'person', code: 'ROW_INVALID', feature: 'age', rows: 2 }]);
    expect(
      rows.map(({ origin, position, reason, row: content }) => [
        origin.split('/')[0]!.replace(/^.*headrace/, 'headrace'),
        position,
        reason,
        content,
      ]),
    ).toEqual([
      [
        'push',
        0,
        'age is 140, above its maximum 120',
        { entity: { person_id: 'p' }, eventTime: '2016-01-01T00:00:00.000Z', values: { age: 140, name: '(personal, not shown)' } },
      ],
      [
        'headrace.features.v1',
        1,
        'age is 130, above its maximum 120',
        { entity: { person_id: 'e' }, eventTime: '2016-01-01T00:00:00Z', values: { age: 130, name: '(personal, not shown)' } },
      ],
    ]);
    expect(await ageOf('ok')).toBe(1);
    const metrics = await (await fetch(`${h.service.httpUrl}/metrics`)).text();
    expect(metrics).toMatch(/headrace_feature_store_quarantined_rows_total\{view="person",code="ROW_INVALID",feature="age"[^}]*\} 2/);
    expect((await list(`&limit=1`)).rows).toHaveLength(1);
    expect((await list(`&before=${rows[1]!.id}`)).rows).toEqual([]);
  });

  it('gives rows back after a fix, with their first arrival: what came after them stays', async () => {
    await h.sendRows('person', [row('late', 150)]);
    await h.settled();
    await h.sendRows('person', [row('late', 50)]); // the mended row of the same instant
    await h.settled();
    expect(await replay({ view: 'person' })).toEqual({ accepted: 0, refused: 3 });
    await h.apply(definitions(145));
    expect(await replay({ view: 'person' })).toEqual({ accepted: 2, refused: 1 });
    expect([await ageOf('e'), await ageOf('p')]).toEqual([130, 140]);
    await h.apply(definitions(200));
    const [kept] = (await list()).rows;
    expect(await replay({ view: 'person', ids: [kept!.id + 1_000] })).toEqual({ accepted: 0, refused: 0 });
    expect(await replay({ view: 'person', ids: [kept!.id] })).toEqual({ accepted: 1, refused: 0 });
    expect(await ageOf('late')).toBe(50);
    expect((await list()).rows).toEqual([]);
    expect(await replay({ view: 'ghost' })).toMatchObject({ code: 'VIEW_UNKNOWN' });
  });

  it('is listed, shown row by row and replayed over gRPC as over HTTP', async () => {
    const quarantine = createClient(QuarantineDefinition, h.service.grpcAddress, { defaultTimeoutMs: 30_000 });
    await h.client.publishRows({
      view: 'person',
      rows: [201, 202, 203].map((age) => ({
        entity: { person_id: `g${age}` },
        eventTime: new Date('2016-01-01T00:00:00Z'),
        values: { age, name: 'Mallory' },
      })),
    });
    const { counts, rows } = await quarantine.listQuarantine({ view: 'person' });
    const overHttp = await list();
    expect(counts).toEqual(overHttp.counts);
    expect(rows.map(({ arrivedAt: _arrived, quarantinedAt: _quarantined, ...row }) => row)).toMatchObject(
      overHttp.rows.map(({ id, origin, position, code, feature, reason, row }) => ({ id, origin, position, code, feature, reason, row })),
    );
    expect(rows).toHaveLength(3);
    expect(JSON.stringify(rows)).not.toContain('Mallory');
    expect(Math.abs(rows[0]!.arrivedAt!.getTime() - Date.now())).toBeLessThan(60_000);
    const page = await quarantine.listQuarantine({ view: 'person', limit: 1, before: rows[0]!.id });
    expect(page.rows).toEqual([rows[1]]);
    expect(await quarantine.getQuarantinedRow({ id: rows[2]!.id })).toEqual(rows[2]);
    await expect(quarantine.getQuarantinedRow({ id: 1_000_000 })).rejects.toMatchObject({ code: 'QUARANTINED_ROW_UNKNOWN' });
    await expect(quarantine.getQuarantinedRow({ project: 'elsewhere', id: rows[2]!.id })).rejects.toMatchObject({
      code: 'QUARANTINED_ROW_UNKNOWN',
    });
    await expect(quarantine.listQuarantine({ limit: 1_001 })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await h.apply(definitions(202));
    expect(await quarantine.replayQuarantine({ view: 'person', ids: [rows[0]!.id, rows[1]!.id] })).toEqual({ accepted: 1, refused: 1 });
    expect(await quarantine.replayQuarantine({ view: 'person' })).toEqual({ accepted: 1, refused: 1 });
    expect([await ageOf('g201'), await ageOf('g202'), await ageOf('g203')]).toEqual([201, 202, null]);
    expect((await quarantine.listQuarantine({})).rows.map(({ id }) => id)).toEqual([rows[0]!.id]);
    quarantine.close();
  });
});
