import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Harness, TRANSPORTS } from './harness.js';
import { biased, goldenFor, logistic } from './peers.js';

const NaN = Number.NaN;
const BIAS = 0.25;
describe.each(TRANSPORTS)('requests to serving over %s', (grpcTransport) => {
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
});
