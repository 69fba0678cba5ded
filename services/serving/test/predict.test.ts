import { Signature, VersionState } from '@headrace/contracts/registry/v1/registry';
import { eventually } from '@headrace/testkit/eventually';
import { manyOutputsModel } from '@headrace/testkit/onnx-graph';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness, TRANSPORTS } from './harness.js';
import { PredictClient } from './predict-client.js';
import { biased, fixture, goldenFor, logistic, LOGISTIC_SIGNATURE, VIEWS } from './peers.js';

const NaN = Number.NaN;
const BIAS = 0.25;
describe.each(TRANSPORTS)('serving over %s', (grpcTransport) => {
  let h: Harness;

  beforeAll(async () => {
    h = await Harness.start({ grpcTransport });
    h.peers.addLogistic('m', 1, BIAS);
    await h.serve('m', 1);
  });
  afterAll(() => h.close());

  const refusal = (input: Parameters<Harness['client']['predict']>[0]): Promise<unknown> =>
    h.client.predict(input).then(
      () => 'answered',
      (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
    );

  describe('predict by values', () => {
    it('answers dense rows, with the version, the arm and an id for each row', async () => {
      const answer = await h.client.predict({
        model: 'm',
        dense: [
          [1, 2, 3],
          [NaN, NaN, -3],
        ],
        predictionId: 'req-1',
      });
      expect(answer).toMatchObject({ model: 'm', version: 1, arm: 'champion', predictionId: 'req-1' });
      expect(answer.rows).toEqual([
        { id: 'req-1/0', label: 1, score: expect.closeTo(logistic(1, 2, 3, BIAS), 5), featureTime: undefined, stale: false },
        { id: 'req-1/1', label: 0, score: expect.closeTo(logistic(NaN, NaN, -3, BIAS), 5), featureTime: undefined, stale: false },
      ]);
    });

    it('answers named columns of floats and integers like the dense rows they stand for', async () => {
      const dense = await h.client.predict({
        model: 'm',
        dense: [
          [1, 2, 3],
          [4, 5, 6],
        ],
      });
      const columns = await h.client.predict({ model: 'm', columns: { c: [3, 6], b: [2, 5], a: [1, 4], sex: ['f', 'm'] } });
      expect(columns.rows.map((r) => r.score)).toEqual(dense.rows.map((r) => r.score));
      expect(columns.predictionId).toMatch(/^[0-9a-f-]{36}$/);
    });

    it('lets columns win over dense values', async () => {
      const { rows } = await h.client.predict({ model: 'm', dense: [[1, 2, 3]], columns: { c: [-3] } });
      expect(rows[0]!.score).toBeCloseTo(logistic(1, 2, -3, BIAS), 5);
    });

    it('answers ten thousand rows, and small requests beside them', async () => {
      const dense = new Float32Array(30_000).map((_, i) => (i % 13) - 6);
      const [large, ...small] = await Promise.all([
        h.client.predict({ model: 'm', dense }),
        ...[1, 2, 3].map((a) => h.client.predict({ model: 'm', dense: [[a, 0, 0]] })),
      ]);
      expect(large!.rows).toHaveLength(10_000);
      for (const row of [0, 127, 128, 9_999])
        expect(large!.rows[row]!.score).toBeCloseTo(logistic(dense[row * 3]!, dense[row * 3 + 1]!, dense[row * 3 + 2]!, BIAS), 5);
      small.forEach((answer, i) => expect(answer.rows[0]!.score).toBeCloseTo(logistic(i + 1, 0, 0, BIAS), 5));
    });

    it('answers the values of a regression, with label 1 from its threshold on', async () => {
      const signature = Signature.fromPartial({ ...LOGISTIC_SIGNATURE, threshold: 15, outputs: ['label', 'value'] });
      const value = (a: number, b: number, c: number): number => 0.5 * a - 0.25 * b + c + 0.123456789;
      const rows = [{ features: { a: 40, b: 0, c: 3 }, label: 1, value: value(40, 0, 3) }];
      h.peers.add({ model: 'delay', version: 1, bytes: fixture('value'), golden: { rows }, signature });
      await h.serve('delay', 1);
      const dense = [
        [40, 0, 3],
        [0, 400, 0],
        [30, 1, 0],
      ];
      const answer = await h.client.predict({ model: 'delay', dense });
      dense.forEach(([a, b, c], i) => expect(answer.rows[i]!.score).toBeCloseTo(value(a!, b!, c!), 4));
      expect(answer.rows.map((row) => row.label)).toEqual([1, 0, 0]);
    });

    it('answers a model with a text input', async () => {
      const signature = Signature.fromPartial({
        features: [
          { name: 'a', reference: 'person:a', type: 'float64' },
          { name: 'city', reference: 'account:city', type: 'string' },
        ],
        threshold: 0.5,
      });
      const rows = [
        { features: { a: 2, city: 'Bern' }, label: 1, probability: 1 / (1 + Math.exp(-3)) },
        { features: { a: null, city: null }, label: 1, probability: 0.5 },
      ];
      h.peers.add({ model: 'texts', version: 1, bytes: fixture('text'), golden: { rows }, signature });
      await h.serve('texts', 1);
      const answer = await h.client.predict({ model: 'texts', columns: { a: [0, 0, 2], city: ['Bern', 'Basel', 'Chur'] } });
      [2, -2, 1].forEach((z, i) => expect(answer.rows[i]!.score).toBeCloseTo(1 / (1 + Math.exp(-z)), 5));
      expect(await refusal({ model: 'texts', dense: [[1]] })).toMatch(/^INPUT_INVALID: .*needs city/);
      expect(await refusal({ model: 'texts', entities: ['1'] })).toMatch(/^INPUT_INVALID: .*has no entity/);
    });
  });

  describe('a bad request', () => {
    it.each<[string, Parameters<Harness['client']['predict']>[0], RegExp]>([
      ['for an unknown model', { model: 'nobody', dense: [[1, 2, 3]] }, /^MODEL_NOT_LOADED: no version of model nobody/],
      [
        'for a version that is not loaded',
        { model: 'm', version: 9, dense: [[1, 2, 3]] },
        /^VERSION_UNKNOWN: version 9 of model m is not loaded/,
      ],
      ['without a model', { model: '', dense: [[1]] }, /^REQUEST_INVALID: `model` is empty/],
      ['without rows', { model: 'm' }, /^INPUT_INVALID: .*no rows/],
      ['of a wrong shape', { model: 'm', dense: [[1, 2]] }, /^INPUT_INVALID: m\/1 has 3 numeric features; 2 dense values/],
      [
        'with more rows than one request may have',
        { model: 'm', dense: new Float32Array(30_003) },
        /^INPUT_INVALID: 10001 rows in one request; at most 10000/,
      ],
      [
        'with an infinity',
        {
          model: 'm',
          dense: [
            [1, 2, 3],
            [1, Infinity, 3],
          ],
        },
        /^INPUT_INVALID: row 1: b is infinite/,
      ],
      ['with an infinity in a column', { model: 'm', columns: { a: [-Infinity], b: [1], c: [1] } }, /^INPUT_INVALID: row 0: a is infinite/],
      [
        'with an unknown column',
        { model: 'm', columns: { a: [1], b: [1], c: [1], d: [1] } },
        /^INPUT_INVALID: m\/1 has no column "d"; it has a, b, c, sex/,
      ],
      ['with a forgotten column', { model: 'm', columns: { a: [1], b: [1] } }, /^INPUT_INVALID: m\/1 needs c/],
      [
        'with texts for a number',
        { model: 'm', columns: { a: ['x'], b: [1], c: [1] } },
        /^INPUT_INVALID: column a is float64; it was sent as strings/,
      ],
      [
        'with numbers for a text',
        { model: 'm', columns: { a: [1], b: [1], c: [1], sex: [1] } },
        /^INPUT_INVALID: column sex is string; it was sent as numbers/,
      ],
      [
        'with columns of unequal length',
        { model: 'm', columns: { a: [1, 2], b: [1], c: [1, 2] } },
        /^INPUT_INVALID: column b has 1 values for 2 row/,
      ],
      [
        'with entities and dense rows that do not match',
        { model: 'm', entities: ['1', '2'], dense: [[1, 2, 3]] },
        /^INPUT_INVALID: .*1 dense rows and 2 entities/,
      ],
      ['with an empty entity key', { model: 'm', entities: [''] }, /^INPUT_INVALID: an entity key is empty/],
      [
        'with an endless prediction id',
        { model: 'm', dense: [[1, 2, 3]], predictionId: 'x'.repeat(201) },
        /^INPUT_INVALID: the prediction id has 201/,
      ],
    ])('%s is refused, and says why', async (_name, input, message) => {
      expect(await refusal(input)).toMatch(message);
    });

    it('leaves its neighbours of the same tick untouched', async () => {
      const inputs = Array.from({ length: 60 }, (_, i) => ({
        model: 'm',
        dense: i % 3 === 0 ? [[1, 2]] : i % 3 === 1 ? [[i, 0, Infinity]] : [[i / 10, 1, 0]],
      }));
      const answers = await Promise.allSettled(inputs.map((input) => h.client.predict(input)));
      answers.forEach((answer, i) => {
        if (i % 3 !== 2) expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'INPUT_INVALID' } });
        else expect(answer.status === 'fulfilled' && answer.value.rows[0]!.score).toBeCloseTo(logistic(i / 10, 1, 0, BIAS), 5);
      });
    });

    it('whose missing values the model cannot take is refused by name, alone', async () => {
      h.peers.add({ model: 'strict', version: 1, bytes: biased(BIAS, 'strict'), golden: goldenFor(BIAS) });
      await h.serve('strict', 1);
      const [bad, good] = await Promise.allSettled([
        h.client.predict({ model: 'strict', dense: [[1, NaN, 1]] }),
        h.client.predict({ model: 'strict', dense: [[1, 1, 1]] }),
      ]);
      expect(bad).toMatchObject({
        reason: { code: 'INPUT_INVALID', message: expect.stringContaining('does not accept all of the missing values') },
      });
      expect(good.status).toBe('fulfilled');
    });

    it('past its deadline is not begun', async () => {
      await expect(h.client.predict({ model: 'm', dense: [[1, 2, 3]] }, { timeoutMs: 0 })).rejects.toMatchObject({
        code: 'DEADLINE_EXCEEDED',
      });
    });

    it('past the bound of what is inside is refused at once, and the others are answered', async () => {
      const h2 = await Harness.start({ grpcTransport, requestsMax: 8 });
      try {
        h2.peers.addLogistic('m', 1, BIAS);
        await h2.serve('m', 1);
        const answers = await Promise.allSettled(
          Array.from({ length: 200 }, () => h2.client.predict({ model: 'm', entities: ['nobody'] })),
        );
        const refused = answers.filter((a) => a.status === 'rejected');
        expect(new Set(refused.map((a) => (a as PromiseRejectedResult).reason.code))).toEqual(new Set(['OVERLOADED']));
        expect(answers.length - refused.length).toBeGreaterThanOrEqual(8);
        await expect(h2.client.predict({ model: 'm', dense: [[1, 2, 3]] })).resolves.toBeDefined();
      } finally {
        await h2.close();
      }
    });
  });

  describe('a stream of requests', () => {
    async function* of(requests: Parameters<typeof PredictClient.stream>[1] extends AsyncIterable<infer R> ? R[] : never) {
      yield* requests;
    }

    it('is answered in order, a refused request among the others', async () => {
      await h.online('person', 'st', [1, 2, 'f']);
      await h.online('account', 'st', [3, 'Bern']);
      const requests = Array.from({ length: 300 }, (_, i) =>
        i % 50 === 7
          ? { model: 'm', dense: [1, 2] }
          : i % 3 === 0
            ? { model: 'm', entities: ['st'], predictionId: `s${i}` }
            : { model: 'm', dense: [i / 100, 2, 0], predictionId: `s${i}` },
      );
      let i = 0;
      for await (const answer of PredictClient.stream(h.service.grpcAddress, of(requests))) {
        if (i % 50 === 7) {
          expect(answer.error).toMatchObject({ code: 'INPUT_INVALID', message: expect.stringContaining('3 numeric features') });
          expect(answer.scores).toEqual([]);
        } else {
          const expected = i % 3 === 0 ? logistic(1, 2, 3, BIAS) : logistic(Math.fround(i / 100), 2, 0, BIAS);
          expect(answer).toMatchObject({ predictionId: `s${i}`, version: 1, error: undefined, scores: [expect.closeTo(expected, 5)] });
        }
        i++;
      }
      expect(i).toBe(300);
    });

    it('may ask by what it was answered, and may be left', async () => {
      let next: (score: number) => void = () => undefined;
      const requests = (async function* () {
        for (let a = 0; ; a = await new Promise<number>((resolve) => (next = resolve))) yield { model: 'm', dense: [a, 0, 0] };
      })();
      const scores: number[] = [];
      for await (const {
        scores: [score],
      } of PredictClient.stream(h.service.grpcAddress, requests)) {
        scores.push(score!);
        if (scores.length === 3) break;
        next(score!);
      }
      let a = 0;
      for (const score of scores) expect(score).toBeCloseTo((a = logistic(a, 0, 0, BIAS)), 4);
      await eventually('nothing is left inside', async () =>
        /headrace_serving_inside\{unit="requests",service="serving"\} 0/.test(await (await fetch(`${h.service.httpUrl}/metrics`)).text()),
      );
    });
  });

  it('lets requests wait for each other where the model has a batch delay', async () => {
    h.peers.addLogistic('patient', 1, BIAS);
    h.peers.setSpec('patient', { serving: { batchDelay: 300 } });
    await h.serve('patient', 1);
    const ask = async (afterMs: number): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, afterMs));
      const { rows } = await h.client.predict({ model: 'patient', dense: [[afterMs, 0, 0]] });
      expect(rows[0]!.score).toBeCloseTo(logistic(afterMs, 0, 0, BIAS), 5);
    };
    await Promise.all([0, 10, 20, 30].map(ask));
    const [statistics] = (await h.admin.getStatistics({ project: '', model: 'patient' })).versions;
    expect([statistics!.batchRows!.count, statistics!.batchRows!.sum]).toEqual([1, 4]);
    expect(statistics!.queue!.sum).toBeGreaterThan(0.8);
  });

  describe('predict by entity', () => {
    it('reads all views of all entities from the online store, and says how old and whole they are', async () => {
      const now = Date.now();
      await h.online('person', 'p|1', [2, 4, 'f'], now - 60_000);
      await h.online('account', 'p|1', [0.5, 'Bern'], now - 1_000);
      await h.online('person', 'p2', [null, 4, null], now);
      const { rows } = await h.client.predict({ model: 'm', entities: ['p|1', 'p2', 'nobody'] });
      expect(rows.map((r) => r.score)).toEqual(
        [logistic(2, 4, 0.5, BIAS), logistic(NaN, 4, NaN, BIAS), logistic(NaN, NaN, NaN, BIAS)].map((p) => expect.closeTo(p, 5)),
      );
      expect(rows.map((r) => r.stale)).toEqual([false, true, true]);
      expect(rows.map((r) => r.featureTime?.getTime())).toEqual([now - 60_000, now, undefined]);
    });

    it('takes a value past its maximum age as missing', async () => {
      await h.online('person', 'old', [1, 1, 'f']);
      await h.online('account', 'old', [9, 'Bern'], Date.now() - 3_700_000);
      const { rows } = await h.client.predict({ model: 'm', entities: ['old'] });
      expect(rows[0]).toMatchObject({ stale: true, score: expect.closeTo(logistic(1, 1, NaN, BIAS), 5) });
    });

    it('lets columns win over what was looked up', async () => {
      await h.online('person', 'mix', [1, 1, 'f']);
      await h.online('account', 'mix', [5, 'Bern']);
      const { rows } = await h.client.predict({ model: 'm', entities: ['mix', 'mix'], columns: { c: [-5, NaN] } });
      expect(rows.map((r) => r.score)).toEqual([logistic(1, 1, -5, BIAS), logistic(1, 1, NaN, BIAS)].map((p) => expect.closeTo(p, 5)));
      expect(rows.map((r) => r.stale)).toEqual([false, false]);
    });

    it('refuses the request with a missing entity when the model says so, and answers its neighbours', async () => {
      h.peers.addLogistic('careful', 1, BIAS);
      h.peers.setSpec('careful', { missingFeatures: 'refuse' });
      await h.serve('careful', 1);
      await h.online('person', 'here', [1, 1, 'f']);
      await h.online('account', 'here', [1, 'Bern']);
      const [missing, there] = await Promise.allSettled([
        h.client.predict({ model: 'careful', entities: ['here', 'nobody'] }),
        h.client.predict({ model: 'careful', entities: ['here'] }),
      ]);
      expect(missing).toMatchObject({
        reason: {
          code: 'ENTITY_NOT_FOUND',
          message: expect.stringContaining('row 1: entity "nobody"'),
          details: { entity: 'nobody', row: '1' },
        },
      });
      expect(there.status).toBe('fulfilled');
    });

    it('takes the defaults of the model for what is missing or too old, and flags these rows', async () => {
      h.peers.addLogistic('filled', 1, BIAS);
      h.peers.setSpec('filled', { missingFeatures: 'default', defaults: { a: 10, c: -2 } });
      await h.serve('filled', 1);
      await h.online('person', 'half', [null, 4, 'f']);
      await h.online('account', 'half', [9, 'Bern'], Date.now() - 3_700_000);
      await h.online('person', 'all', [1, 2, 'f']);
      await h.online('account', 'all', [3, 'Bern']);
      const { rows } = await h.client.predict({ model: 'filled', entities: ['half', 'all', 'nobody'], columns: { b: [4, 2, 6] } });
      // A published null is a value; the expired view and the unknown entity are not.
      expect(rows.map((r) => r.score)).toEqual(
        [logistic(NaN, 4, -2, BIAS), logistic(1, 2, 3, BIAS), logistic(10, 6, -2, BIAS)].map((p) => expect.closeTo(p, 5)),
      );
      expect(rows.map((r) => r.stale)).toEqual([true, false, true]);
      const byValue = await h.client.predict({ model: 'filled', dense: [[NaN, 1, NaN]] });
      expect(byValue.rows[0]!.score).toBeCloseTo(logistic(NaN, 1, NaN, BIAS), 5);
      h.peers.addLogistic('misfilled', 1, BIAS);
      h.peers.setSpec('misfilled', { missingFeatures: 'default', defaults: { a: 'ten' } });
      await h.promote('misfilled', 1);
      await eventually('it is refused', () =>
        expect(h.rollouts.find((r) => r.model === 'misfilled')).toMatchObject({
          step: 'failed',
          detail: expect.stringMatching(/the default of a is "ten"; misfilled\/1 has it as float64/),
        }),
      );
    });

    it('learns a new layout of a view once it meets it, still reads the old one, and counts what it cannot read as missing', async () => {
      const { person } = VIEWS;
      h.peers.views = { ...VIEWS, person: { ...person, features: [{ name: 'extra', type: 'int64' }, ...person.features] } };
      const { compileBlobSchema, encodeBlob } = await import('@headrace/codec/feature-blob');
      const schema = compileBlobSchema([{ name: 'extra', type: 'int64' }, ...person.features]);
      await h.redis.set(
        'hr:{default/person/new}:person',
        encodeBlob(schema, [7, 1, 2, 'm'], { eventTimeMs: Date.now(), ingestTimeMs: 0, tieBreak: 0 }),
      );
      await h.online('account', 'new', [3, 'Bern']);
      const asked = h.peers.listedViews;
      const { rows } = await h.client.predict({ model: 'm', entities: ['new'] });
      expect(rows[0]).toMatchObject({ stale: false, score: expect.closeTo(logistic(1, 2, 3, BIAS), 5) });
      await h.online('person', 'before', [1, 2, 'f']);
      await h.online('account', 'before', [3, 'Bern']);
      expect((await h.client.predict({ model: 'm', entities: ['before'] })).rows[0]).toMatchObject({ stale: false, score: rows[0]!.score });
      await h.redis.set('hr:{default/person/odd}:person', Buffer.from('no blob at all'));
      const odd = await h.client.predict({ model: 'm', entities: ['odd'] });
      expect(odd.rows[0]).toMatchObject({ stale: true, score: expect.closeTo(logistic(NaN, NaN, NaN, BIAS), 5) });
      expect(h.peers.listedViews).toBe(asked + 1);
      h.peers.views = { ...VIEWS };
    });
  });

  it('answers by value while Redis is away, is ready, and says what is missing to those who ask by entity', async () => {
    const own = await Harness.start({ grpcTransport, redisUrl: 'redis://127.0.0.1:1' });
    try {
      own.peers.addLogistic('m', 1, BIAS);
      await own.serve('m', 1);
      const [dense, entity] = await Promise.allSettled([
        own.client.predict({ model: 'm', dense: [[1, 2, 3]] }),
        own.client.predict({ model: 'm', entities: ['1'] }),
      ]);
      expect(dense.status).toBe('fulfilled');
      expect(entity).toMatchObject({
        reason: { code: 'DEPENDENCY_UNAVAILABLE', message: expect.stringContaining('the online store did not answer') },
      });
      expect((await fetch(`${own.service.httpUrl}/health/ready`)).status).toBe(200);
    } finally {
      await own.close();
    }
  });

  describe('further outputs of the graph', () => {
    const sigmoid = (a: number): number => 1 / (1 + Math.exp(-a));
    const none = { floats: [], doubles: [], ints: [], strings: [], shape: [1] };
    beforeAll(async () => {
      const rows = [-2, 0.5, 3].map((a) => ({ features: { a }, label: a >= 0 ? 1 : 0, probability: sigmoid(a) }));
      const signature = { ...LOGISTIC_SIGNATURE, features: LOGISTIC_SIGNATURE.features.slice(0, 1), protectedFeatures: [] };
      h.peers.add({ model: 'many', version: 1, bytes: manyOutputsModel(), golden: { rows }, signature });
      await h.serve('many', 1);
    });

    it('come beside label and score, in the order asked for, each in the list of its type', async () => {
      const outputs = ['exact', 'pair', 'whole', 'positive', 'probabilities'];
      const answer = await h.client.predict({ model: 'many', dense: [[1.5], [-3]], outputs, predictionId: 'out-1' });
      expect(answer.rows.map(({ id, label, score }) => [id, label, score])).toEqual([
        ['out-1/0', 1, expect.closeTo(sigmoid(1.5), 6)],
        ['out-1/1', 0, expect.closeTo(sigmoid(-3), 6)],
      ]);
      expect(answer.outputs).toEqual([
        { ...none, name: 'exact', doubles: [1.5, -3] },
        { ...none, name: 'pair', shape: [2], floats: [1.5, 3, -3, -6] },
        { ...none, name: 'whole', ints: [1, -3] },
        { ...none, name: 'positive', ints: [1, 1] },
        { ...none, name: 'probabilities', floats: answer.rows.map(({ score }) => score) },
      ]);
      expect((await h.client.predict({ model: 'many', dense: [[1]] })).outputs).toEqual([]);
    });

    it('are those of the rows, be they columns, entities, or more than one run takes; each row is logged once', async () => {
      await h.online('person', 'outs', [2.5, 4, 'f']);
      const asked = { model: 'many', outputs: ['doubled'] };
      expect((await h.client.predict({ ...asked, columns: { a: [7, 8] } })).outputs[0]!.floats).toEqual([14, 16]);
      const byEntity = await h.client.predict({ ...asked, entities: ['outs'], predictionId: 'outs-1' });
      expect([byEntity.outputs[0]!.floats, byEntity.rows[0]!.stale]).toEqual([[5], false]);
      const many = Array.from({ length: 1000 }, (_, i) => [i]);
      const answers = await Promise.all(Array.from({ length: 3 }, () => h.client.predict({ ...asked, dense: many })));
      for (const { outputs } of answers) expect(outputs[0]!.floats).toEqual(many.map(([a]) => 2 * a!));
      const logged = await eventually('it is logged', () => {
        const ids = h.logged.flatMap((batch) => batch.predictionIds).filter((id) => id === 'outs-1');
        return ids.length > 0 && ids;
      });
      expect(logged).toHaveLength(1);
    });

    it('are refused where the graph has them not, twice, or not for each row', async () => {
      const refused = (outputs: readonly string[]): Promise<unknown> => refusal({ model: 'many', dense: [[1]], outputs });
      expect(await refused(['nothing'])).toMatch(/^INPUT_INVALID: many\/1 has no output "nothing"; it gives probabilities/);
      expect(await refused(['pair', 'pair'])).toMatch(/^INPUT_INVALID: .*twice/);
      expect(await refused(['total'])).toMatch(/^INPUT_INVALID: output total of many\/1 is FP32\[\], which has no value for each row/);
      expect(await refused(['half'])).toMatch(/^INPUT_INVALID: .*FP16; ask for it by the Open Inference Protocol/);
    });

    it('are named by the description of the version, and come over HTTP too', async () => {
      const { outputs } = await h.admin.describeVersion({ project: '', model: 'many', version: 0 });
      expect(outputs).toContainEqual({ name: 'pair', datatype: 'FP32', shape: [-1, 2] });
      const response = await fetch(`${h.service.httpUrl}/predict`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'many', rows: [[1.5]], outputs: ['pair', 'whole'] }),
      });
      expect(await response.json()).toMatchObject({
        outputs: [
          { name: 'pair', shape: [2], floats: [1.5, 3] },
          { name: 'whole', shape: [1], ints: [1] },
        ],
      });
    });
  });

  it('lets columns win over dense values, and those over what is looked up', async () => {
    await h.online('person', 'mixed', [9, 9, 'f']);
    await h.online('account', 'mixed', [9, 'Bern']);
    const input = { model: 'm', entities: ['mixed', 'mixed'], predictionId: 'mixed-1' };
    const { rows } = await h.client.predict({ ...input, dense: Float32Array.of(1, 2, 3, 4, 5, 6), columns: { b: [-1, -2] } });
    expect(rows.map(({ score }) => score)).toEqual([
      expect.closeTo(logistic(1, -1, 3, BIAS), 5),
      expect.closeTo(logistic(4, -2, 6, BIAS), 5),
    ]);
  });

  describe('over HTTP', () => {
    const post = async (body: unknown): Promise<{ status: number; json: Record<string, unknown> }> => {
      const response = await fetch(`${h.service.httpUrl}/predict`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return { status: response.status, json: (await response.json()) as Record<string, unknown> };
    };

    it('takes the same path in JSON, null being the missing value', async () => {
      const { status, json } = await post({ model: 'm', rows: [[1, null, 3]], predictionId: 'http-1' });
      expect(status).toBe(200);
      expect(json).toMatchObject({
        model: 'm',
        version: 1,
        predictionId: 'http-1',
        scores: [expect.closeTo(logistic(1, NaN, 3, BIAS), 5)],
      });
      expect((await post({ model: 'm', columns: { a: [1], b: [2], c: [3], sex: ['f'] } })).json).toMatchObject({
        scores: [expect.closeTo(logistic(1, 2, 3, BIAS), 5)],
      });
    });

    it('refuses with problem+json', async () => {
      expect(await post({ model: 'm', rows: [[1, 2]] })).toMatchObject({ status: 400, json: { code: 'INPUT_INVALID' } });
      expect(await post({ model: 'm', rows: [[1, 2, 3], [1]] })).toMatchObject({
        status: 400,
        json: { code: 'REQUEST_INVALID', detail: 'rows.1 has 1 values, row 0 has 3' },
      });
      expect(await post({ model: 'nobody', rows: [[1]] })).toMatchObject({ status: 404, json: { code: 'MODEL_NOT_LOADED' } });
      expect(await post({ modle: 'm' })).toMatchObject({ status: 400, json: { code: 'REQUEST_INVALID' } });
    });

    it('lists what is loaded', async () => {
      const { models } = (await (await fetch(`${h.service.httpUrl}/models`)).json()) as { models: object[] };
      expect(models).toContainEqual(expect.objectContaining({ model: 'm', version: 1, state: 'LOAD_STATE_LOADED', champion: true }));
    });
  });

  describe('the prediction log', () => {
    it('holds every answer once, with the features as served, protected attributes and the trace; the account is exact', async () => {
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      await h.online('person', 'logged', [2, 4, 'f']);
      await h.online('account', 'logged', [0.5, 'Bern']);
      await h.client.predict({ model: 'm', entities: ['logged', 'nobody'], predictionId: 'log-1' }, { traceparent });
      await h.client.predict({ model: 'm', dense: [[1, NaN, 3]], predictionId: 'log-2' });
      const batches = await eventually('all three rows are on Kafka', () => {
        const found = h.logged.filter((batch) => batch.predictionIds.some((id) => id.startsWith('log-')));
        return found.flatMap((b) => b.predictionIds).filter((id) => id.startsWith('log-')).length === 3 && found;
      });
      const row = (id: string): object => {
        const batch = batches.find((b) => b.predictionIds.includes(id))!;
        const i = batch.predictionIds.indexOf(id);
        const columns = batch.columns.map((c) => [c.name, c.numbers.length > 0 ? c.numbers[i] : c.missing[i] ? undefined : c.texts[i]]);
        return {
          version: batch.version,
          arm: batch.arm,
          score: batch.scores[i],
          entity: batch.entities[i],
          trace: batch.traceIds[i],
          stale: batch.stale[i],
          ...Object.fromEntries(columns),
        };
      };
      expect(row('log-1/0')).toMatchObject({
        version: 1,
        arm: 'champion',
        a: 2,
        b: 4,
        c: 0.5,
        sex: 'f',
        entity: 'logged',
        stale: false,
        trace: '0af7651916cd43dd8448eb211c80319c',
        score: expect.closeTo(logistic(2, 4, 0.5, BIAS), 5),
      });
      expect(row('log-1/1')).toMatchObject({ a: NaN, sex: undefined, entity: 'nobody', stale: true });
      expect(row('log-2')).toMatchObject({ a: 1, b: NaN, c: 3, sex: undefined });
      expect(h.logged.every((b) => b.instance === h.config.instance && b.project === 'default')).toBe(true);
    });

    it('accounts for every answered row after a graceful stop', async () => {
      const own = await Harness.start({ grpcTransport, logSampleRate: 0.5 });
      try {
        own.peers.addLogistic('m', 1, BIAS);
        await own.serve('m', 1);
        await Promise.all(
          Array.from({ length: 300 }, (_, i) => own.client.predict({ model: 'm', dense: new Float32Array(3 * (1 + (i % 4))) })),
        );
        await own.stopService();
        const rows = await eventually('the last batch is here', () => {
          const account = own.logged.at(-1)?.account;
          const received = own.logged.reduce((sum, batch) => sum + batch.predictionIds.length, 0);
          return (
            account?.answered === 750 &&
            account.logged + account.sampledOut + account.dropped === 750 &&
            received === account.logged &&
            received
          );
        });
        // 375 expected, standard deviation 24.
        expect(rows).toBeGreaterThan(250);
        expect(rows).toBeLessThan(500);
        expect(new Set(own.logged.flatMap((b) => b.predictionIds)).size).toBe(rows);
        await own.startService();
      } finally {
        await own.close();
      }
    });
  });

  it('refuses a version that was not blessed, whoever asks for it', async () => {
    h.peers.add({
      model: 'm',
      version: 66,
      bytes: biased(9),
      golden: goldenFor(9),
      signature: LOGISTIC_SIGNATURE,
      state: VersionState.REJECTED,
    });
    await expect(h.admin.loadVersion({ model: 'm', version: 66 })).rejects.toMatchObject({
      code: 'VERSION_NOT_BLESSED',
      message: expect.stringContaining('version 66 of m is rejected'),
    });
    await h.sayAliasSet('m', 66);
    await eventually('the refusal is published', () =>
      h.rollouts.some((r) => r.version === 66 && r.step === 'failed' && r.detail.startsWith('VERSION_NOT_BLESSED')),
    );
    expect((await h.client.predict({ model: 'm', dense: [[1, 2, 3]] })).version).toBe(1);
  });
});
