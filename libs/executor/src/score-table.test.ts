import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FeatureBlock } from './feature-block.js';
import { compileInputPlan } from './input-plan.js';
import { openModel } from './open-model.js';
import { openTableScorer, type TableColumn } from './score-table.js';
import { seededRandom } from '@headrace/base/random';

const fixture = (name: string): Buffer => readFileSync(new URL(`../../../services/serving/test/fixtures/${name}.onnx`, import.meta.url));
const input = (name: string, type = 'float64') => ({ name, type, reference: `v:${name}` });
/** The formula of the fixture; its bias is the marker of make_models.py. */
const logistic = (a: number, b: number, c: number): number => 1 / (1 + Math.exp(-(0.5 * a - 0.25 * b + c + 0.123456789)));
const probability = logistic(1, 2, 3);
const model = {
  name: 'm/1',
  bytes: fixture('logistic'),
  signature: { features: [input('a'), input('b', 'int64'), input('c', 'bool')], threshold: 0.5 },
  golden: { rows: [{ features: { a: 1, b: 2, c: 3 }, label: 1, probability }] },
};

describe('offline scoring', () => {
  it('gives equal rows equal bits, whatever the size and place of the run that they came in (seeded)', async () => {
    const random = seededRandom(11);
    const rows = 300;
    const column = (): number[] => Array.from({ length: rows }, () => Math.round((random() - 0.5) * 4000) / 1000);
    const columns: Record<string, TableColumn> = { a: column(), b: column(), c: column() };
    const offline = await openTableScorer(model);
    const scores = await offline.score(columns);
    offline.release();
    const plan = compileInputPlan(model.signature.features, []);
    const session = await openModel({ ...model, plan, golden: [], threshold: 0.5, batchRowsMax: 128 });
    const block = new FeatureBlock(plan, 128);
    // As requests arrive: in runs of any size, each row anywhere in its run.
    for (let from = 0; from < rows;) {
      const size = Math.min(1 + Math.floor(random() * 7), rows - from);
      for (let row = 0; row < size; row++)
        for (const [at, name] of ['a', 'b', 'c'].entries()) block.numbers[row * 3 + at] = columns[name]![from + row] as number;
      const online = [...(await session.run(block, 0, size))].slice(0, size);
      expect([...scores.subarray(from, from + size)]).toEqual(online);
      from += size;
    }
    session.release();
  });

  it('gives the values of a regression as they are', async () => {
    const golden = { rows: [{ features: { a: 40, b: 0, c: 3 }, label: 1, value: 23.123456789 }] };
    const scorer = await openTableScorer({ ...model, bytes: fixture('value'), signature: { ...model.signature, threshold: 15 }, golden });
    const scores = await scorer.score({ a: [40, 0, null], b: [0, 400, 4], c: [3, 0, -1] });
    [23.123456789, -99.876543211, -1.876543211].forEach((value, row) => expect(scores[row]).toBeCloseTo(value, 4));
    scorer.release();
    const other = { rows: [{ ...golden.rows[0], value: 23.2 }] };
    await expect(
      openTableScorer({ ...model, bytes: fixture('value'), signature: { ...model.signature, threshold: 15 }, golden: other }),
    ).rejects.toThrow(/training got 23.2/);
  });

  it('takes null as missing, booleans as 0 and 1, and a text column by its own input', async () => {
    const scorer = await openTableScorer(model);
    const [missing, yes] = await scorer.score({ a: [null, 1], b: [2n, 2n], c: [true, true] });
    expect(missing).toBeCloseTo(logistic(0, 2, 1), 6);
    expect(yes).toBeCloseTo(logistic(1, 2, 1), 6);
    scorer.release();
    const text = await openTableScorer({
      name: 't/1',
      bytes: fixture('text'),
      signature: { features: [input('a'), input('city', 'string')], threshold: 0.5 },
      golden: { rows: [{ features: { a: 0, city: 'Bern' }, label: 1, probability: 1 / (1 + Math.exp(-2)) }] },
    });
    const scores = await text.score({ a: [0, 0, 0], city: ['Bern', 'Basel', null] });
    expect([...scores].map((score) => Math.round(score * 1e4) / 1e4)).toEqual([0.8808, 0.1192, 0.5]);
    text.release();
  });

  it.each<[string, Record<string, TableColumn>, RegExp]>([
    ['lacks a feature', { a: [1], b: [1] }, /needs the column c/],
    ['has columns of unequal length', { a: [1], b: [1, 2], c: [1] }, /column b has 2 rows where others have 1/],
    ['has text where a number belongs', { a: [1], b: ['x'], c: [1] }, /row 0 has "x" for b, which is int64/],
  ])('refuses a table that %s', async (_name, columns, message) => {
    const scorer = await openTableScorer(model);
    await expect(scorer.score(columns)).rejects.toThrow(message);
    scorer.release();
  });

  it('refuses what serving refuses', async () => {
    await expect(openTableScorer({ ...model, bytes: fixture('external') })).rejects.toMatchObject({ code: 'ARTIFACT_REFUSED' });
    const golden = { rows: [{ ...model.golden.rows[0], probability: 0.5 }] };
    await expect(openTableScorer({ ...model, golden })).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED' });
  });
});
