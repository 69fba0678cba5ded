import { zstdDecompressSync } from 'node:zlib';
import { FeatureRowsPublished } from '@headrace/contracts/events/v1/events';
import { FieldStatus } from '@headrace/contracts/features/v1/features';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHarness, type Harness } from './harness.js';

const DEFINITIONS = `
kind: Entity
name: song
joinKeys: [id]
---
kind: FeatureView
name: sound
entity: song
features:
  - { name: vector, type: embedding, dimension: 3, min: -2, max: 2 }
  - { name: recorded, type: timestamp }
  - { name: mood, type: string, pattern: '[a-z]+', maxLength: 5 }
---
kind: FeatureView
name: hit
entity: song
online: false
labels: true
features: [{ name: sold, type: bool }]
---
kind: FeatureService
name: ranking
features: [sound:recorded, { view: sound, feature: vector, as: taste }]
`;

/** 0.1 is no 32-bit float: what comes back is the nearest one, everywhere the same. */
const VECTOR = [0.1, -1.5, 0];
const STORED = VECTOR.map(Math.fround);
const RECORDED = Date.UTC(1969, 8, 26, 1, 2, 3, 4);
const TIME = new Date('2016-01-01T00:00:00Z');

let h: Harness;
beforeAll(async () => {
  h = await startHarness();
  await h.apply(DEFINITIONS);
  const time = TIME.toISOString();
  await h.sendRows('sound', [
    { entity: { id: 'json' }, eventTime: time, values: { vector: VECTOR, recorded: '1969-09-26T01:02:03.004Z' } },
  ]);
  const event = FeatureRowsPublished.encode({
    project: '',
    view: 'sound',
    rows: [{ entity: { id: 'protobuf' }, eventTime: TIME, values: { vector: VECTOR, recorded: RECORDED } }],
  }).finish();
  await h.send(event, 'application/protobuf');
  await h.sendRows('hit', [{ entity: { id: 'json' }, eventTime: time, values: { sold: true } }]);
  await h.sendRows('hit', [{ entity: { id: 'none' }, eventTime: time, values: { sold: false } }]);
  await h.settled();
  await h.client.publishRows({
    view: 'sound',
    rows: [{ entity: { id: 'push' }, eventTime: TIME, values: { vector: VECTOR, recorded: RECORDED } }],
  });
});
afterAll(() => h.close());

const read = async (): Promise<unknown[]> => {
  const entities = ['json', 'protobuf', 'push'].map((id) => ({ keys: { id } }));
  const { vectors } = await h.client.getOnlineFeatures({ features: ['sound:vector', 'sound:recorded'], entities });
  return vectors.map((v) => v.values);
};

describe('embeddings and timestamps', () => {
  it('are read online as they were published, whatever way they came in', async () => {
    expect(await read()).toEqual([
      [STORED, RECORDED],
      [STORED, RECORDED],
      [STORED, RECORDED],
    ]);
  });

  it('are the same bits after the online store is rebuilt from Postgres', async () => {
    await h.flushOnline();
    await h.client.rebuildOnline({ view: 'sound' });
    expect(await read()).toEqual(Array.from({ length: 3 }, () => [STORED, RECORDED]));
  });

  it('are a list of 32-bit floats and a timestamp in a training set, null where nothing was known, under the names of the service', async () => {
    const set = await h.client.buildTrainingSet({
      labelView: 'hit',
      labelFeature: 'sold',
      featureService: 'ranking',
      from: TIME,
      to: new Date(TIME.getTime() + 1),
    });
    const bytes = await (await fetch(`${h.service.httpUrl}${set.path}`)).arrayBuffer();
    const compressors = { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) };
    expect(await parquetReadObjects({ file: bytes, compressors })).toEqual([
      { id: 'json', event_time: TIME, recorded: new Date(RECORDED), taste: STORED, label: true },
      { id: 'none', event_time: TIME, recorded: null, taste: undefined, label: false },
    ]);
  });

  it.each<[string, object, RegExp]>([
    ['too few numbers', { vector: [1, 2] }, /vector has 2 numbers; its dimension is 3/],
    ['a number for a list', { vector: 1 }, /vector is a number; embedding wanted/],
    ['a null inside', { vector: [1, null, 2] }, /has null at position 1; a number wanted/],
    ['a number beyond 32 bits', { vector: [1, 2, 1e300] }, /position 2, which no 32-bit float holds/],
    ['a number out of range', { vector: [1, 2, 3] }, /is 3, above its maximum 2/],
    ['a text that is too long', { mood: 'gloomy' }, /has 6 characters; its rule allows at most 5/],
    ['a text of another pattern', { mood: 'so-so' }, /"so-so", which does not match its pattern/],
  ])('refuse a row with %s', async (_what, values, reason) => {
    const { accepted, rejected } = await h.client.publishRows({ view: 'sound', rows: [{ entity: { id: 'x' }, eventTime: TIME, values }] });
    expect([accepted, rejected[0]]).toEqual([0, { row: 0, code: 'ROW_INVALID', reason: expect.stringMatching(reason) as string }]);
  });
});

describe('a feature service', () => {
  it('is read online in its order and under its names, by gRPC and by HTTP', async () => {
    const { names, vectors } = await h.client.getOnlineFeatures({ featureService: 'ranking', entities: [{ keys: { id: 'json' } }] });
    expect([names, vectors[0]!.values]).toEqual([
      ['recorded', 'taste'],
      [RECORDED, STORED],
    ]);
    expect(vectors[0]!.statuses).toEqual([FieldStatus.PRESENT, FieldStatus.PRESENT]);
    const answer = await fetch(`${h.service.httpUrl}/get-online-features`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ feature_service: 'ranking', entities: { id: ['json'] } }),
    });
    const body = (await answer.json()) as { metadata: { feature_names: string[] }; results: { values: unknown[] }[] };
    expect([body.metadata.feature_names, body.results.map((r) => r.values[0])]).toEqual([
      ['id', 'recorded', 'taste'],
      // Feast's times are in seconds.
      ['json', RECORDED / 1000, STORED],
    ]);
  });

  it('refuses what it cannot answer', async () => {
    const entities = [{ keys: { id: 'json' } }];
    await expect(h.client.getOnlineFeatures({ featureService: 'nobody', entities })).rejects.toMatchObject({
      code: 'FEATURE_SERVICE_UNKNOWN',
    });
    await expect(h.client.getOnlineFeatures({ featureService: 'ranking', features: ['sound:mood'], entities })).rejects.toThrow(
      /exclude each other/,
    );
    const request = { labelView: 'hit', labelFeature: 'sold', from: TIME, to: new Date(TIME.getTime() + 1) };
    await expect(h.client.buildTrainingSet({ ...request, features: ['hit:sold'] })).rejects.toThrow(/view hit holds labels/);
  });

  it('follows a view that grows, because it may pick the view whole', async () => {
    await h.apply('kind: FeatureService\nname: whole\nfeatures: [sound]');
    const first = await h.client.getOnlineFeatures({ featureService: 'whole', entities: [{ keys: { id: 'json' } }] });
    expect(first.names).toEqual(['vector', 'recorded', 'mood']);
  });
});
