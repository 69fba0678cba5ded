import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { zstdDecompressSync } from 'node:zlib';
import { seededRandom } from '@headrace/base/random';
import type { BuildTrainingSetRequest, TrainingSet } from '@headrace/contracts/features/v1/features';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHarness, type Harness } from './harness.js';

const EXAMPLE = new URL('../../../examples/employment/', import.meta.url);
const DAY_MS = 86_400_000;
const T0 = Date.UTC(2016, 0, 1);

let h: Harness;
beforeAll(async () => {
  h = await startHarness();
});
afterAll(() => h.close());

type Row = Record<string, unknown>;

async function build(request: Partial<BuildTrainingSetRequest>): Promise<{ set: TrainingSet; bytes: Buffer; rows: Row[] }> {
  const set = await h.client.buildTrainingSet({ from: new Date(T0), to: new Date(T0 + 100 * DAY_MS), ...request });
  const answer = await fetch(`${h.service.httpUrl}${set.path}`);
  expect(answer.status).toBe(200);
  const bytes = Buffer.from(await answer.arrayBuffer());
  return { set, bytes, rows: await rowsOf(bytes) };
}

async function rowsOf(bytes: Buffer): Promise<Row[]> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
  const rows = (await parquetReadObjects({ file, compressors: { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) } })) as Row[];
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value])),
  );
}

describe('on random histories with ties, gaps, nulls and composite keys', () => {
  interface Published {
    readonly keys: readonly string[];
    readonly timeMs: number;
    readonly arrivedMs: number;
    readonly values: Row;
  }
  /** Arrivals are two milliseconds apart, so an odd moment lies between two of them. */
  const firstMs = 2 * Math.floor(Date.now() / 2) - 3_600_000;
  const published: Record<string, Published[]> = { label: [], place: [], carrier: [] };

  beforeAll(async () => {
    await h.apply(`
kind: Entity
name: flight
joinKeys: [carrier, origin]
---
kind: Entity
name: carrier
joinKeys: [carrier]
---
kind: FeatureView
name: label
entity: flight
online: false
features: [{ name: late, type: bool }]
---
kind: FeatureView
name: place
entity: flight
ttl: 3d
features: [{ name: wind, type: float64 }, { name: gate, type: string }, { name: seen, type: timestamp }]
---
kind: FeatureView
name: carrier
entity: carrier
features: [{ name: fleet, type: int64 }]
`);
    const random = seededRandom(11);
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
    // Keys that only careful escaping keeps apart.
    const carriers = ['a', 'a|b', 'a\\', 'é'];
    const origins = ['b', 'b|', '|x', '\\|'];
    let arrivedMs = firstMs;
    const orNull = (value: unknown): unknown => (random() < 0.2 ? null : value);
    const emit = (view: string, keys: readonly string[], timeMs: number, values: Row): void =>
      void published[view]!.push({ keys, timeMs, arrivedMs: (arrivedMs += 2), values });
    for (let n = 0; n < 900; n++) {
      // Whole days, so that equal times and ages of exactly the time to live are common.
      const timeMs = T0 + Math.floor(random() * 20) * DAY_MS;
      const view = pick(['label', 'place', 'carrier']);
      if (view === 'label') emit(view, [pick(carriers), pick(origins)], timeMs, { late: orNull(random() < 0.5) });
      else if (view === 'carrier') emit(view, [pick(carriers)], timeMs, { fleet: orNull(Math.floor(random() * 3)) });
      else
        emit(view, [pick(carriers), pick(origins)], timeMs, {
          wind: orNull(random()),
          gate: orNull(pick(['A', 'B'])),
          seen: orNull(new Date(timeMs + 1).toISOString()),
        });
    }
    const all = Object.entries(published).flatMap(([view, rows]) => rows.map((row) => ({ view, row })));
    all.sort(() => random() - 0.5);
    const keyNames: Record<string, string[]> = { label: ['carrier', 'origin'], place: ['carrier', 'origin'], carrier: ['carrier'] };
    await h.sendAt(
      all.map(({ view, row }) => ({
        view,
        arrivedMs: row.arrivedMs,
        row: {
          entity: Object.fromEntries(keyNames[view]!.map((name, i) => [name, row.keys[i]])),
          eventTime: new Date(row.timeMs),
          values: row.values,
        },
      })),
    );
    await h.settled();
    expect(await h.deadLetters()).toEqual([]);
  });

  /**
   * The slow and obvious join. Of a content that came again the store keeps its first and last arrival: the first makes it known, and
   * until the last is known it is ordered by the first.
   */
  function oracle(asOfMs: number): Row[] {
    const known = (view: string): Published[] => {
      const merged = new Map<string, Published[]>();
      for (const row of published[view]!) {
        const key = JSON.stringify([row.keys, row.timeMs, row.values]);
        merged.set(key, [...(merged.get(key) ?? []), row]);
      }
      return [...merged.values()].flatMap((same) => {
        const [first, last] = [same[0]!, same.at(-1)!];
        return first.arrivedMs > asOfMs ? [] : [last.arrivedMs <= asOfMs ? last : first];
      });
    };
    const rowsOfView = { label: known('label'), place: known('place'), carrier: known('carrier') };
    const latest = (rows: Published[], keys: readonly string[], atMs: number, ttl: number): Published | undefined =>
      rows
        .filter((r) => r.keys.join('\0') === keys.join('\0') && r.timeMs <= atMs && (ttl === 0 || atMs - r.timeMs <= ttl))
        .sort((a, b) => a.timeMs - b.timeMs || a.arrivedMs - b.arrivedMs)
        .at(-1);
    return rowsOfView.label
      .filter(
        (row) =>
          row ===
          latest(
            rowsOfView.label.filter((r) => r.timeMs === row.timeMs),
            row.keys,
            row.timeMs,
            0,
          ),
      )
      .filter((row) => row.values.late !== null && row.timeMs >= T0 + 2 * DAY_MS && row.timeMs < T0 + 18 * DAY_MS)
      .map(({ keys, timeMs, values }) => {
        const place = latest(rowsOfView.place, keys, timeMs, 3 * DAY_MS)?.values;
        return {
          carrier: keys[0],
          origin: keys[1],
          event_time: new Date(timeMs),
          place__wind: place?.wind ?? null,
          carrier__fleet: latest(rowsOfView.carrier, [keys[0]!], timeMs, 0)?.values.fleet ?? null,
          place__seen: place?.seen ? new Date(place.seen as string) : null,
          place__gate: place?.gate ?? null,
          label: values.late,
        };
      });
  }

  const request = {
    labelView: 'label',
    labelFeature: 'late',
    features: ['place:wind', 'carrier:fleet', 'place:seen', 'place:gate'],
    from: new Date(T0 + 2 * DAY_MS),
    to: new Date(T0 + 18 * DAY_MS),
  };
  const byKey = (rows: Row[]): string[] => rows.map((row) => JSON.stringify(row)).sort();

  it('equals the slow oracle, row by row', async () => {
    const { rows, set } = await build(request);
    expect(rows.length).toBeGreaterThan(100);
    expect(set.rows).toBe(rows.length);
    expect(byKey(rows)).toEqual(byKey(oracle(Infinity)));
  });

  it('equals the oracle as of any moment of knowledge', async () => {
    const sizes: number[] = [];
    for (const asOfMs of [firstMs + 201, firstMs + 901, firstMs + 1_799]) {
      const { rows } = await build({ ...request, asOf: new Date(asOfMs) });
      expect(byKey(rows)).toEqual(byKey(oracle(asOfMs)));
      sizes.push(rows.length);
    }
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
    await expect(build({ ...request, asOf: new Date(firstMs) })).rejects.toMatchObject({ code: 'TRAINING_SET_EMPTY' });
  });

  it('comes in the order of entity and time, with the same bytes each time', async () => {
    const [a, b] = [await build(request), await build(request)];
    expect(a.set.hash).toBe(b.set.hash);
    expect(createHash('sha256').update(a.bytes).digest('hex')).toBe(a.set.hash);
    expect(a.set.bytes).toBe(a.bytes.length);
    const escape = (text: unknown): string => String(text).replace(/[\\|]/g, '\\$&');
    const keyOf = (row: Row): Buffer => Buffer.from(`${escape(row.carrier)}|${escape(row.origin)}`);
    for (const [i, row] of a.rows.entries()) {
      const next = a.rows[i + 1];
      if (next)
        expect(
          Buffer.compare(keyOf(row), keyOf(next)) || (row.event_time as Date).getTime() - (next.event_time as Date).getTime(),
        ).toBeLessThan(0);
    }
  });

  it('is recorded with its statement and the versions of its views, and found again by its hash', async () => {
    const { set } = await build(request);
    expect(await h.client.getTrainingSet({ hash: set.hash })).toEqual(set);
    expect(set.columns).toEqual([
      'carrier',
      'origin',
      'event_time',
      'place__wind',
      'carrier__fleet',
      'place__seen',
      'place__gate',
      'label',
    ]);
    const { views } = await h.client.listViews({});
    expect(set.viewHashes).toEqual(Object.fromEntries(views.filter((v) => v.name in published).map((v) => [v.name, v.contentHash])));
    expect(set.query).toContain('LEFT JOIN LATERAL');
  });
});

describe('what cannot be built', () => {
  it.each<[string, object, string]>([
    [
      'a window without labels',
      { labelView: 'label', labelFeature: 'late', features: ['place:wind'], from: new Date(T0 - 9 * DAY_MS), to: new Date(T0 - DAY_MS) },
      'TRAINING_SET_EMPTY',
    ],
    ['an unknown label view', { labelView: 'ghost', labelFeature: 'late', features: ['place:wind'] }, 'VIEW_UNKNOWN'],
    ['an unknown feature', { labelView: 'label', labelFeature: 'late', features: ['place:ghost'] }, 'REQUEST_INVALID'],
    ['no features', { labelView: 'label', labelFeature: 'late', features: [] }, 'REQUEST_INVALID'],
    [
      'a window upside down',
      { labelView: 'label', labelFeature: 'late', features: ['place:wind'], from: new Date(T0), to: new Date(T0) },
      'REQUEST_INVALID',
    ],
    ['no window', { labelView: 'label', labelFeature: 'late', features: ['place:wind'], from: undefined }, 'REQUEST_INVALID'],
  ])('%s is refused with its code', async (_name, request, code) => {
    await expect(build(request)).rejects.toMatchObject({ code });
  });

  it('an unknown snapshot is not found, by gRPC and by HTTP, and no path leads out of the folder', async () => {
    await expect(h.client.getTrainingSet({ hash: 'a'.repeat(64) })).rejects.toMatchObject({ code: 'TRAINING_SET_UNKNOWN' });
    for (const file of [`${'a'.repeat(64)}.parquet`, 'x.parquet', '..%2f..%2f..%2fetc%2fpasswd']) {
      expect((await fetch(`${h.service.httpUrl}/training-sets/${file}`)).status).toBe(404);
    }
  });
});

describe('the employment example', () => {
  it('goes from events over Kafka to a training set that holds every person as published', async () => {
    const definitions = await readFile(new URL('definitions.yaml', EXAMPLE), 'utf8');
    await h.apply(
      definitions
        .split(/^---$/m)
        .filter((document) => !document.includes('kind: Model'))
        .join('---'),
    );
    const people = await readPeople(3_000);
    const features = Object.keys(people[0]!.values);
    for (let from = 0; from < people.length; from += 500) {
      const part = people.slice(from, from + 500);
      await h.sendRows(
        'person',
        part.map(({ id, values }) => ({ entity: { person_id: id }, eventTime: '2015-01-01T00:00:00Z', values })),
      );
      await h.sendRows(
        'employment',
        part.map(({ id, employed }) => ({ entity: { person_id: id }, eventTime: '2015-12-31T00:00:00Z', values: { employed } })),
      );
    }
    await h.settled();
    expect(await h.deadLetters()).toEqual([]);
    const { rows, set, bytes } = await build({
      labelView: 'employment',
      labelFeature: 'employed',
      features: features.map((name) => `person:${name}`),
      from: new Date('2015-01-01T00:00:00Z'),
      to: new Date('2016-01-01T00:00:00Z'),
    });
    expect(set.columns).toEqual(['person_id', 'event_time', ...features.map((name) => `person__${name}`), 'label']);
    const expected = people.map(({ id, values, employed }) => ({
      person_id: id,
      event_time: new Date('2015-12-31T00:00:00Z'),
      ...Object.fromEntries(features.map((name) => [`person__${name}`, values[name]])),
      label: employed,
    }));
    expected.sort((a, b) => (a.person_id < b.person_id ? -1 : 1));
    expect(rows).toEqual(expected);
    const schema = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer).schema;
    expect(schema.slice(1, 4).map((s) => [s.name, s.type, s.converted_type])).toEqual([
      ['person_id', 'BYTE_ARRAY', 'UTF8'],
      ['event_time', 'INT64', 'TIMESTAMP_MILLIS'],
      ['person__AGEP', 'INT64', undefined],
    ]);
  });

  interface Person {
    readonly id: string;
    readonly values: Row;
    readonly employed: number;
  }

  /** The first people of 2015 in the example's own data. */
  async function readPeople(count: number): Promise<Person[]> {
    const bytes = await readFile(new URL('people.parquet', EXAMPLE));
    const rows = await rowsOf(bytes);
    return rows
      .filter((row) => row.year === 2015)
      .slice(0, count)
      .map(({ year: _year, person_id: id, employed, ...values }) => ({ id: String(id), values, employed: Number(employed) }));
  }
});
