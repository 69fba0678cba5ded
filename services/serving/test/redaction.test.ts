import { valueToken } from '@headrace/base/value-token';
import { GRPCInferenceServiceDefinition } from '@headrace/contracts/inference/grpc_service';
import { Signature } from '@headrace/contracts/registry/v1/registry';
import type { PredictionsLogged } from '@headrace/contracts/events/v1/events';
import { createClient } from '@headrace/platform/grpc/client';
import { eventually } from '@headrace/testkit/eventually';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness } from './harness.js';
import { biased, goldenFor, LOGISTIC_SIGNATURE, VIEWS } from './peers.js';

const KEY = 'the key of this very test';
const BIAS = 0.25;
/** Values that stand nowhere else, as text and as float32. */
const SECRET = { a: 1234.0625, sex: 'sex-of-somebody', person: 'person-4711' };
const WITH_PII = {
  ...VIEWS,
  person: { ...VIEWS.person, features: VIEWS.person.features.map((one) => ({ ...one, pii: one.name !== 'b' })) },
};

let h: Harness;
beforeAll(async () => {
  h = await Harness.start({ logHashKey: KEY, pollMs: 200 });
  h.peers.addLogistic('m', 1, BIAS);
});
afterAll(() => h.close());

/** Asks in all ways for the same secrets. @returns the messages that hold the answers, and their bytes */
async function logged(id: string, model = 'm'): Promise<{ messages: PredictionsLogged[]; bytes: Buffer }> {
  await h.online('person', SECRET.person, [SECRET.a, 2, SECRET.sex]);
  await h.online('account', SECRET.person, [3, 'Bern']);
  await h.client.predict({ model, predictionId: `${id}-entity`, entities: [SECRET.person, 'nobody'] });
  await h.client.predict({ model, predictionId: `${id}-value`, columns: { a: [SECRET.a], b: [2], c: [3], sex: [SECRET.sex] } });
  const wanted = [`${id}-entity/0`, `${id}-entity/1`, `${id}-value`];
  const ofTest = (message: PredictionsLogged): boolean => message.predictionIds.some((one) => wanted.includes(one));
  const messages = await eventually('all is logged', () => {
    const found = h.logged.filter(ofTest);
    return found.flatMap((one) => one.predictionIds).length >= wanted.length && found;
  });
  return { messages, bytes: Buffer.concat(h.loggedBytes.filter((_, i) => ofTest(h.logged[i]!))) };
}

const float = (value: number): Buffer => Buffer.from(Float32Array.of(value).buffer);
const columnsOf = (messages: readonly PredictionsLogged[]): string[] => [...new Set(messages.flatMap((m) => m.columns.map((c) => c.name)))];
const tokensOf = (messages: readonly PredictionsLogged[], column: string, id: string): string | undefined =>
  messages
    .flatMap((m) => m.predictionIds.map((one, row) => ({ one, token: m.redacted.find((c) => c.name === column)?.tokens[row] })))
    .find(({ one }) => one === id)?.token;
const rulesOf = async (model: string) => (await h.admin.describeVersion({ model })).log;

describe('the prediction log', () => {
  it('holds every value as it was served, when nothing is personal', async () => {
    await h.serve('m', 1);
    const { messages, bytes } = await logged('clear');
    expect(columnsOf(messages)).toEqual(['a', 'b', 'c', 'sex']);
    expect(messages.flatMap((m) => m.redacted)).toEqual([]);
    for (const secret of [float(SECRET.a), SECRET.sex, SECRET.person]) expect(bytes.includes(secret)).toBe(true);
    expect(await rulesOf('m')).toEqual({ sampleRate: undefined, redacted: {}, entity: '' });
  });

  it('holds no clear value of features that are marked pii under a version that is loaded, and says so', async () => {
    h.peers.views = WITH_PII;
    await eventually('the marks are seen', async () => Object.keys((await rulesOf('m'))!.redacted).length === 2);
    const { messages, bytes } = await logged('marked');
    for (const secret of [float(SECRET.a), SECRET.sex]) expect(bytes.includes(secret)).toBe(false);
    expect(columnsOf(messages)).toEqual(['b', 'c']);
    // Nothing of a feature; of a protected attribute what keeps its groups apart.
    const token = valueToken(KEY, { project: 'default', of: 'person:sex' }, SECRET.sex);
    for (const { redacted } of messages)
      expect(redacted).toEqual([
        { name: 'a', redaction: 'omit', tokens: [] },
        { name: 'sex', redaction: 'hash', tokens: expect.anything() },
      ]);
    expect(tokensOf(messages, 'sex', 'marked-entity/0')).toBe(token);
    expect(tokensOf(messages, 'sex', 'marked-value')).toBe(token);
    expect(tokensOf(messages, 'sex', 'marked-entity/1')).toBe('');
    expect(messages.flatMap((m) => m.entities)).toContain(SECRET.person);
    expect(await rulesOf('m')).toMatchObject({ redacted: { a: 'omit', sex: 'hash' }, entity: '' });
  });

  it('holds none of tensors either', async () => {
    const client = createClient(GRPCInferenceServiceDefinition, h.service.grpcAddress);
    const before = h.logged.length;
    await client.modelInfer({
      modelName: 'm',
      inputs: [{ name: 'features', datatype: 'FP32', shape: [1, 3], contents: { fp32Contents: [SECRET.a, 2, 3] } }],
    });
    client.close();
    await eventually('it is logged', () => h.logged.length > before);
    expect(h.logged.at(-1)!.redacted.map(({ name }) => name)).toEqual(['a', 'sex']);
    expect(Buffer.concat(h.loggedBytes.slice(before)).includes(float(SECRET.a))).toBe(false);
  });

  it('follows the definition of the model under a version that is loaded: forms, entity keys and a rate', async () => {
    h.peers.setSpec('m', { predictionLog: { sampleRate: 1, redact: { a: 'hash', c: 'hash' }, entity: 'hash' } });
    await h.sayDefined('m');
    await eventually('the definition is seen', async () => (await rulesOf('m'))!.entity === 'hash');
    const { messages, bytes } = await logged('chosen');
    for (const secret of [float(SECRET.a), SECRET.sex, SECRET.person]) expect(bytes.includes(secret)).toBe(false);
    expect(tokensOf(messages, 'a', 'chosen-value')).toBe(valueToken(KEY, { project: 'default', of: 'person:a' }, SECRET.a));
    expect(tokensOf(messages, 'c', 'chosen-value')).toBe(valueToken(KEY, { project: 'default', of: 'account:c' }, 3));
    const byEntity = messages.find((m) => m.entities.length > 0)!;
    expect(byEntity).toMatchObject({ entityRedaction: 'hash' });
    expect(byEntity.entities).toContain(valueToken(KEY, { project: 'default', of: 'entity person_id' }, SECRET.person));

    h.peers.setSpec('m', { predictionLog: { sampleRate: 0, redact: {}, entity: 'omit' } });
    await h.sayDefined('m');
    await eventually('nothing is sampled any more', async () => (await rulesOf('m'))!.sampleRate === 0);
    await h.client.predict({ model: 'm', predictionId: 'unlogged', dense: [[1, 2, 3]] });
    h.peers.setSpec('m', { predictionLog: { redact: {}, entity: 'omit' } });
    await h.sayDefined('m');
    await eventually('all is sampled again', async () => (await rulesOf('m'))!.sampleRate === undefined);
    const without = await logged('keyless');
    expect(without.bytes.includes(SECRET.person)).toBe(false);
    expect(without.messages.flatMap((m) => [...m.entities, m.entityRedaction])).toEqual(without.messages.map(() => 'omit'));
    expect(h.logged.flatMap((m) => m.predictionIds)).not.toContain('unlogged');
  });

  it('stays redacted over a restart with everybody away, and omits what it has no key for', async () => {
    await h.stopService();
    h.peers.isDown = true;
    await h.startService({ logHashKey: '' });
    const { messages, bytes } = await logged('restarted');
    for (const secret of [float(SECRET.a), SECRET.sex, SECRET.person]) expect(bytes.includes(secret)).toBe(false);
    expect(messages[0]!.redacted).toEqual(['a', 'sex'].map((name) => ({ name, redaction: 'omit', tokens: [] })));
    expect(await rulesOf('m')).toMatchObject({ redacted: { a: 'omit', sex: 'keyless' } });
    h.peers.isDown = false;
  });

  it('omits every column of a version while the feature store has not said what is personal', async () => {
    const signature = Signature.fromPartial({ ...LOGISTIC_SIGNATURE, entityKeys: [] });
    h.peers.add({ model: 'byvalue', version: 1, bytes: biased(BIAS), golden: goldenFor(BIAS), signature });
    h.peers.views = {};
    h.peers.isStoreDown = true;
    await h.serve('byvalue', 1);
    const ask = async (id: string): Promise<PredictionsLogged> => {
      await h.client.predict({ model: 'byvalue', predictionId: id, columns: { a: [SECRET.a], b: [2], c: [3], sex: [SECRET.sex] } });
      return eventually('it is logged', () => h.logged.find((m) => m.predictionIds.includes(id)) ?? false);
    };
    expect((await ask('early')).redacted.map(({ name, redaction }) => [name, redaction])).toEqual(
      ['a', 'b', 'c', 'sex'].map((name) => [name, 'omit']),
    );
    expect((await rulesOf('byvalue'))!.redacted).toEqual({ a: 'unknown', b: 'unknown', c: 'unknown', sex: 'unknown' });
    h.peers.views = { ...VIEWS, person: { ...VIEWS.person, features: VIEWS.person.features.filter(({ name }) => name !== 'a') } };
    h.peers.isStoreDown = false;
    // Taken out of a view that is known: nobody can say that it is not personal.
    await eventually('the store is asked again', async () => Object.keys((await rulesOf('byvalue'))!.redacted).join() === 'a');
    expect(columnsOf([await ask('late')])).toEqual(['b', 'c', 'sex']);
  });
});
