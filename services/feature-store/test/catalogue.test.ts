import { FeatureCatalogueDefinition, SearchFeaturesResponse, type Lineage } from '@headrace/contracts/features/v1/catalogue';
import { Model, Version, VersionState } from '@headrace/contracts/registry/v1/registry';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFakeRegistry, type FakeRegistry } from './fake-registry.js';
import { startHarness, type Harness } from './harness.js';

const SECRET = 'Mallory of 12 Nowhere Street';
const DEFINITIONS = `
kind: Entity
name: card
joinKeys: [card]
---
kind: FeatureView
name: payment
entity: card
owner: fraud-team
tags: [money, streaming]
description: What a card paid
source: { kind: topic, topic: bank.payments }
features:
  - { name: amount, type: float64, description: In euro }
  - { name: holder, type: string, pii: true, description: Name and address }
  - { name: shop, type: string }
aggregations:
  - { function: sum, column: amount, windows: [1h] }
  - { function: last, column: holder, windows: [1h] }
timeFeatures: [{ kind: recency, name: since_payment }]
---
kind: FeatureView
name: limit
entity: card
owner: risk-team
tags: [money]
features: [{ name: amount, type: int64 }]
---
kind: FeatureView
name: fraud
entity: card
online: false
labels: true
features: [{ name: is_fraud, type: bool }]
---
kind: OnDemandView
name: ratio
owner: risk-team
tags: [computed]
inputs: { paid: payment:amount, most: limit:amount, holder: payment:holder }
features:
  - { name: used, type: float64, expression: 'paid / most' }
  - { name: initial, type: string, expression: 'holder' }
---
kind: FeatureService
name: fraud-check
owner: fraud-team
tags: [model-input]
description: What the fraud models read
features: [ratio:used, payment:amount, { view: limit, feature: amount, as: most }]
`;
const T0 = Date.UTC(2024, 0, 1);

let registry: FakeRegistry;
let h: Harness;
let catalogue: Client<typeof FeatureCatalogueDefinition>;

beforeAll(async () => {
  registry = await startFakeRegistry();
  h = await startHarness({ registryGrpc: registry.address });
  catalogue = createClient(FeatureCatalogueDefinition, h.service.grpcAddress, { defaultTimeoutMs: 30_000 });
  registry.models.push(
    Model.fromPartial({
      project: 'default',
      name: 'fraud',
      definitionVersion: 1,
      spec: {
        entity: 'card',
        features: ['payment:amount', 'ratio:used'],
        label: { view: 'fraud', feature: 'is_fraud' },
        owner: 'fraud-team',
        trainingWindow: { from: '2024-01-01T00:00:00Z', to: '2024-02-01T00:00:00Z' },
      },
    }),
  );
  await h.apply(DEFINITIONS);
  const rowOf = (card: string, at: number, values: object) => ({ entity: { card }, eventTime: new Date(T0 + at), values });
  await h.client.publishRows({
    view: 'payment',
    rows: [1, 2, 3].map((i) => rowOf(`c${i}`, i, { amount: i * 1.5, holder: `${SECRET} ${i}`, shop: i === 3 ? null : 'Lowell' })),
  });
  await h.client.publishRows({ view: 'limit', rows: [1, 2, 3].map((i) => rowOf(`c${i}`, i, { amount: 100 * i })) });
  await h.client.publishRows({ view: 'fraud', rows: [1, 2, 3].map((i) => rowOf(`c${i}`, 1000, { is_fraud: i === 1 })) });
});
afterAll(async () => {
  catalogue.close();
  await h.close();
  await registry.close();
});

const names = async (query: object): Promise<string[]> =>
  (await catalogue.searchFeatures(query)).features.map(({ reference }) => reference);

describe('search', () => {
  it('finds features by word, tag, owner and type, the best match first', async () => {
    expect(await names({})).toEqual([
      ...['fraud:is_fraud', 'limit:amount', 'payment:amount', 'payment:amount_sum_1h', 'payment:holder', 'payment:holder_last_1h'],
      ...['payment:shop', 'payment:since_payment', 'ratio:initial', 'ratio:used'],
    ]);
    // Called so, then with the word in the name; `in euro` is a description and `fraud-team` an owner.
    expect(await names({ text: 'AMOUNT' })).toEqual(['limit:amount', 'payment:amount', 'payment:amount_sum_1h']);
    expect(await names({ text: 'fraud' })).toEqual([
      ...['fraud:is_fraud', 'payment:amount', 'payment:amount_sum_1h', 'payment:holder', 'payment:holder_last_1h'],
      ...['payment:shop', 'payment:since_payment'],
    ]);
    expect(await names({ text: 'euro payment' })).toEqual(['payment:amount']);
    expect(await names({ tag: 'money', type: 'int64' })).toEqual(['limit:amount']);
    expect(await names({ owner: 'risk-team' })).toEqual(['limit:amount', 'ratio:initial', 'ratio:used']);
    expect(await names({ tag: 'mone' })).toEqual([]);
    expect(await names({ project: 'elsewhere' })).toEqual([]);
    const { features, services, featuresFound } = await catalogue.searchFeatures({ text: 'payment', limit: 2 });
    expect([features.length, featuresFound, services.length]).toEqual([2, 6, 0]);
    await expect(catalogue.searchFeatures({ limit: 1001 })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  it('tells what a feature is made from and who reads it, models of the registry included', async () => {
    const { features, modelsKnown } = await catalogue.searchFeatures({});
    const of = (reference: string) => features.find((feature) => feature.reference === reference)!;
    expect(modelsKnown).toBe(true);
    expect(of('payment:amount')).toMatchObject({
      type: 'float64',
      origin: 'stored',
      description: 'In euro',
      owner: 'fraud-team',
      tags: ['money', 'streaming'],
      viewVersion: 1,
      madeFrom: ['topic bank.payments'],
      readBy: ['OnDemandView ratio', 'FeatureService fraud-check', 'Model fraud'],
      samples: ['1.5', '3', '4.5'],
    });
    expect(of('ratio:used')).toMatchObject({
      origin: 'on-demand',
      madeFrom: ['limit:amount', 'payment:amount'],
      readBy: ['FeatureService fraud-check', 'Model fraud'],
      samples: [],
    });
    expect(of('fraud:is_fraud')).toMatchObject({ isLabel: true, readBy: ['Model fraud'] });
    expect(of('payment:shop')).toMatchObject({ readBy: [], samples: ['"Lowell"'] });
    const { services } = await catalogue.searchFeatures({ tag: 'model-input' });
    expect(services).toMatchObject([
      { name: 'fraud-check', version: 1, references: ['ratio:used', 'payment:amount', 'limit:amount'], faults: [] },
    ]);
  });

  it('never gives a value of a personal feature, nor of one that is made of it', async () => {
    const answer = await catalogue.searchFeatures({});
    expect(JSON.stringify(answer)).not.toContain('Mallory');
    const personal = answer.features.filter(({ pii }) => pii);
    expect(personal.map(({ reference }) => reference)).toEqual(['payment:holder', 'payment:holder_last_1h', 'ratio:initial']);
    expect(personal.every(({ samples }) => samples.length === 0)).toBe(true);
  });

  it('tells which features are personal, for whoever writes values down; what was taken out of a view is', async () => {
    const clear = ['payment:amount', 'payment:since_payment', 'ratio:used', 'nobody:knows'];
    const personal = ['payment:holder', 'payment:holder_last_1h', 'ratio:initial', 'payment:taken_out', 'ratio:taken_out'];
    const among = (project: string, references: string[]) => h.client.listPersonalFeatures({ project, references });
    expect(await among('default', [...clear, ...personal])).toEqual({ references: personal });
    expect(await among('other', personal)).toEqual({ references: [] });
    await expect(among('default', ['holder'])).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  it('answers over HTTP as over gRPC', async () => {
    const answer = await fetch(`${h.service.httpUrl}/catalogue/features?text=amount&tag=money&owner=fraud-team`);
    const overHttp = SearchFeaturesResponse.fromJSON(await answer.json());
    expect(overHttp).toEqual(await catalogue.searchFeatures({ text: 'amount', tag: 'money', owner: 'fraud-team' }));
    expect((await fetch(`${h.service.httpUrl}/catalogue/features?limit=x`)).status).toBe(400);
  });
});

describe('usage', () => {
  const usageOf = async (kind: 'view' | 'service', name: string) => {
    const { features, services } = await catalogue.searchFeatures({});
    const found =
      kind === 'view' ? features.find(({ reference }) => reference.startsWith(`${name}:`)) : services.find((s) => s.name === name);
    return found!.usage!;
  };
  const entities = (count: number): object[] => Array.from({ length: count }, (_, i) => ({ keys: { card: `c${i}` } }));

  it('counts calls and entities of online reads exactly, whatever their way, and not what the service reads itself', async () => {
    const before = { payment: await usageOf('view', 'payment'), limit: await usageOf('view', 'limit') };
    // Bytes to bytes; windows, lists and services go the general way; derived ones read their inputs.
    for (let i = 0; i < 20; i++) await h.client.getOnlineFeatures({ features: ['payment:amount', 'payment:shop'], entities: entities(3) });
    await h.client.getOnlineFeatures({ features: ['payment:amount_sum_1h', 'limit:amount'], entities: entities(2) });
    await h.client.getOnlineFeatures({ featureService: 'fraud-check', entities: entities(5) });
    await fetch(`${h.service.httpUrl}/get-online-features`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ features: ['payment:since_payment'], entities: { card: ['c1', 'c2'] } }),
    });
    await expect(h.client.getOnlineFeatures({ features: ['payment:nothing'], entities: entities(1) })).rejects.toThrow();
    const after = { payment: await usageOf('view', 'payment'), limit: await usageOf('view', 'limit') };
    expect(after.payment.onlineReads - before.payment.onlineReads).toBe(23);
    expect(after.payment.onlineEntities - before.payment.onlineEntities).toBe(20 * 3 + 2 + 5 + 2);
    expect(after.limit.onlineReads - before.limit.onlineReads).toBe(2);
    expect(await usageOf('view', 'ratio')).toMatchObject({ onlineReads: 1, onlineEntities: 5 });
    expect(await usageOf('service', 'fraud-check')).toMatchObject({ onlineReads: 1, onlineEntities: 5, trainingSets: 0 });
    expect(after.payment.lastReadAt!.getTime()).toBeGreaterThan(Date.now() - 60_000);
  });

  it('counts training sets with their rows, and outlives the process', async () => {
    const set = { labelView: 'fraud', labelFeature: 'is_fraud', from: new Date(T0), to: new Date(T0 + 5_000) };
    await h.client.buildTrainingSet({ ...set, featureService: 'fraud-check' });
    await h.client.buildTrainingSet({ ...set, features: ['payment:amount'] });
    await h.client.getOnlineFeatures({ features: ['limit:amount'], entities: entities(1) });
    await h.restart();
    catalogue.close();
    catalogue = createClient(FeatureCatalogueDefinition, h.service.grpcAddress, { defaultTimeoutMs: 30_000 });
    expect(await usageOf('view', 'payment')).toMatchObject({ onlineReads: 23, trainingSets: 2, trainingRows: 6 });
    expect(await usageOf('view', 'limit')).toMatchObject({ onlineReads: 3, trainingSets: 1, trainingRows: 3 });
    expect(await usageOf('service', 'fraud-check')).toMatchObject({ onlineReads: 1, trainingSets: 1, trainingRows: 3 });
    expect(await usageOf('view', 'fraud')).toMatchObject({ onlineReads: 0, trainingSets: 2 });
  });
});

describe('lineage', () => {
  const said = ({ nodes, edges }: Lineage): string[] => [
    ...nodes.map(({ id, state }) => (state ? `${id} ${state}` : id)),
    ...edges.map(
      ({ from, to, features, readVersion }) => `${from} -> ${to} [${features.join(' ')}]${readVersion ? ` v${readVersion}` : ''}`,
    ),
  ];
  let hash: string;

  beforeAll(async () => {
    const set = { labelView: 'fraud', labelFeature: 'is_fraud', from: new Date(T0), to: new Date(T0 + 5_000) };
    hash = (await h.client.buildTrainingSet({ ...set, featureService: 'fraud-check' })).hash;
    const signature = {
      features: [
        { name: 'amount', reference: 'payment:amount' },
        { name: 'used', reference: 'ratio:used' },
      ],
    };
    const version = { project: 'default', model: 'fraud', signature };
    registry.versions.push(
      Version.fromPartial({ ...version, version: 1, state: VersionState.ARCHIVED, lineage: { trainingSetHash: 'f'.repeat(64) } }),
      Version.fromPartial({ ...version, version: 2, state: VersionState.CHAMPION, lineage: { trainingSetHash: hash } }),
    );
    // The set was read with version 1 of the view.
    await h.apply(DEFINITIONS.replace('description: In euro', 'description: In cent'));
  });

  it('goes from the source of a feature to the model versions that were trained on it, and names what is read', async () => {
    const { modelsKnown, ...lineage } = await catalogue.getLineage({ of: 'limit:amount' });
    expect(modelsKnown).toBe(true);
    expect(said({ ...lineage, modelsKnown })).toEqual([
      'Source topic headrace.features.v1',
      'FeatureView limit',
      'OnDemandView ratio',
      'FeatureService fraud-check',
      `TrainingSet ${hash}`,
      'Model fraud',
      'ModelVersion fraud/1 archived',
      'ModelVersion fraud/2 champion',
      'Source topic headrace.features.v1 -> FeatureView limit []',
      'FeatureView limit -> OnDemandView ratio [limit:amount]',
      'FeatureView limit -> FeatureService fraud-check [limit:amount]',
      `FeatureView limit -> TrainingSet ${hash} [] v1`,
      'OnDemandView ratio -> FeatureService fraud-check [ratio:used]',
      `OnDemandView ratio -> TrainingSet ${hash} [] v1`,
      'OnDemandView ratio -> Model fraud [ratio:used]',
      'OnDemandView ratio -> ModelVersion fraud/1 [ratio:used]',
      'OnDemandView ratio -> ModelVersion fraud/2 [ratio:used]',
      `FeatureService fraud-check -> TrainingSet ${hash} []`,
      `TrainingSet ${hash} -> ModelVersion fraud/2 []`,
      'Model fraud -> ModelVersion fraud/1 []',
      'Model fraud -> ModelVersion fraud/2 []',
    ]);
  });

  it('leaves out what has nothing to do with the feature, and follows a model and a service back', async () => {
    expect(said(await catalogue.getLineage({ of: 'payment:shop' }))).toEqual([
      'Source topic bank.payments',
      'FeatureView payment',
      'Source topic bank.payments -> FeatureView payment []',
    ]);
    const ofModel = await catalogue.getLineage({ of: 'Model fraud' });
    expect(ofModel.nodes.map(({ id }) => id)).toEqual([
      ...[
        'Source topic bank.payments',
        'Source topic headrace.features.v1',
        'FeatureView fraud',
        'FeatureView limit',
        'FeatureView payment',
      ],
      ...[
        'OnDemandView ratio',
        'FeatureService fraud-check',
        `TrainingSet ${hash}`,
        'Model fraud',
        'ModelVersion fraud/1',
        'ModelVersion fraud/2',
      ],
    ]);
    expect(ofModel.edges).toContainEqual({ from: 'FeatureView payment', to: `TrainingSet ${hash}`, features: [], readVersion: 1 });
    expect(ofModel.nodes.find(({ id }) => id === 'FeatureView payment')).toMatchObject({ version: 2, owner: 'fraud-team' });
    const ofService = await catalogue.getLineage({ of: 'fraud-check' });
    expect(ofService.nodes.filter(({ kind }) => kind === 'ModelVersion').map(({ name }) => name)).toEqual(['fraud/2']);
    expect((await catalogue.getLineage({})).nodes.length).toBe(ofModel.nodes.length);
  });

  it('refuses what is not there or has several meanings, and says so when the registry is away', async () => {
    await expect(catalogue.getLineage({ of: 'fraud' })).rejects.toThrow(/several things; say which: `FeatureView fraud`, `Model fraud`/);
    await expect(catalogue.getLineage({ of: 'nobody' })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    await expect(catalogue.getLineage({ of: 'payment:nothing' })).rejects.toThrow(/there is no feature payment:nothing/);
    const overHttp = (await (await fetch(`${h.service.httpUrl}/catalogue/lineage?of=payment:shop`)).json()) as Lineage;
    expect(overHttp.nodes.map(({ id }) => id)).toEqual(['Source topic bank.payments', 'FeatureView payment']);
    await registry.close();
    const alone = await catalogue.getLineage({ of: 'payment:amount' });
    expect(alone.modelsKnown).toBe(false);
    expect(alone.nodes.map(({ kind }) => kind)).not.toContain('Model');
    expect((await catalogue.searchFeatures({ text: 'payment:amount' })).modelsKnown).toBe(false);
  });
});
