import { seededRandom } from '@headrace/base/random';
import {
  manyOutputsModel,
  ONNX_TYPES,
  onnxModel,
  sumModel,
  type OnnxAttribute,
  type OnnxNode,
  type OnnxValue,
} from '@headrace/testkit/onnx-graph';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { afterEach, describe, expect, it } from 'vitest';
import { openOnnx, type OnnxSession } from '../onnx-runtime.js';
import { openSession } from '../open-session.js';
import { openOnnxInWorker } from '../worker-onnx.js';
import type { Comparison } from './ensemble.js';

interface Forest {
  readonly width: number;
  readonly words: readonly string[] | undefined;
  readonly form: 'value' | 'probability' | 'classifier';
  readonly bytes: Uint8Array;
  readonly thresholds: readonly number[];
}

const ML = 'ai.onnx.ml';
const ONE_WEIGHT = {
  target_treeids: { ints: [0] },
  target_nodeids: { ints: [1] },
  target_ids: { ints: [0] },
  target_weights: { floats: [1] },
};
const COMPARISONS: readonly Comparison[] = ['BRANCH_LEQ', 'BRANCH_LT', 'BRANCH_GTE', 'BRANCH_GT'];
/** The logistic function of ONNX Runtime is an approximation. */
const LINK_TOLERANCE = 3e-7;

interface Shape {
  readonly comparison?: Comparison;
  readonly form?: Forest['form'];
  readonly trees?: number;
  readonly leaves?: number;
  /** Every node's second child is the next inner node. */
  readonly isChain?: boolean;
  /** Attributes over those that are made. */
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

/** Trees of any form: unbalanced, of one leaf, with gaps that go either way, with and without imputer, words, and base value. */
function makeForest(seed: number, shape: Shape = {}): Forest {
  const random = seededRandom(seed);
  const upTo = (most: number): number => 1 + Math.floor(random() * most);
  const isOneIn = (n: number): boolean => random() * n < 1;
  const width = upTo(12);
  const words = isOneIn(2) ? ['', 'Bern', 'Basel', 'Zürich'].slice(0, upTo(4)) : undefined;
  const columns = width + (words ? 1 : 0);
  const form = shape.form ?? (['value', 'probability', 'classifier'] as const)[seed % 3]!;
  const comparison = shape.comparison ?? COMPARISONS[upTo(4) - 1]!;
  const knowsGaps = isOneIn(2);
  const lists = { tree: [], id: [], mode: [], feature: [], threshold: [], yes: [], no: [], missing: [] } as Record<string, unknown[]>;
  const weights = { tree: [] as number[], id: [] as number[], weight: [] as number[] };
  const thresholds: number[] = [];
  const count = shape.trees ?? upTo(20);
  for (let tree = 0; tree < count; tree++) {
    const children: [number, number][] = [[0, 0]];
    const open = [0];
    for (let leaves = shape.leaves ?? upTo(40); leaves > 1; leaves--) {
      const node = open.splice(shape.isChain ? open.length - 1 : Math.floor(random() * open.length), 1)[0]!;
      children[node] = [children.length, children.length + 1];
      open.push(...children[node]);
      children.push([0, 0], [0, 0]);
    }
    const isReversed = isOneIn(3);
    const idOf = (node: number): number => (isReversed ? children.length - 1 - node : node);
    for (const [node, [yes, no]] of children.entries()) {
      const threshold = yes > 0 ? Math.fround(random() * 4 - 2) : 0;
      if (yes > 0) thresholds.push(threshold);
      else {
        weights.tree.push(tree);
        weights.id.push(idOf(node));
        weights.weight.push(Math.fround(random() - 0.5));
      }
      const values = { tree, id: idOf(node), mode: yes > 0 ? comparison : 'LEAF', feature: Math.floor(random() * columns), threshold };
      const links = { yes: yes > 0 ? idOf(yes) : 0, no: no > 0 ? idOf(no) : 0, missing: yes > 0 && knowsGaps && isOneIn(2) ? 1 : 0 };
      for (const [name, value] of Object.entries({ ...values, ...links })) lists[name]!.push(value);
    }
  }
  const ints = (values: unknown): OnnxAttribute => ({ ints: values as number[] });
  const target = form === 'classifier' ? 'class' : 'target';
  const classId = form === 'classifier' ? upTo(2) - 1 : 0;
  const attributes: Record<string, OnnxAttribute> = {
    nodes_treeids: ints(lists.tree),
    nodes_nodeids: ints(lists.id),
    nodes_modes: { strings: lists.mode as string[] },
    nodes_featureids: ints(lists.feature),
    nodes_values: { floats: lists.threshold as number[] },
    nodes_truenodeids: ints(lists.yes),
    nodes_falsenodeids: ints(lists.no),
    nodes_missing_value_tracks_true: ints(lists.missing),
    [`${target}_treeids`]: ints(weights.tree),
    [`${target}_nodeids`]: ints(weights.id),
    [`${target}_ids`]: ints(weights.id.map(() => classId)),
    [`${target}_weights`]: { floats: weights.weight },
    ...(form === 'classifier' ? { classlabels_int64s: ints([0, 1]), post_transform: 'LOGISTIC' } : { n_targets: 1 }),
    ...(classId === 0 && isOneIn(2) ? { base_values: { floats: [0.25] } } : {}),
    ...shape.attributes,
  };
  return { width, words, form, thresholds, bytes: modelOf(width, words, form, attributes, isOneIn(2)) };
}

/** As our training runtime and the converters write them. */
function modelOf(
  width: number,
  words: readonly string[] | undefined,
  form: Forest['form'],
  attributes: Readonly<Record<string, OnnxAttribute>>,
  isImputed: boolean,
): Uint8Array {
  const value = (name: string, columns: number, type: keyof typeof ONNX_TYPES = 'FP32'): OnnxValue => ({
    name,
    dataType: ONNX_TYPES[type],
    shape: ['N', columns],
  });
  const fills = Array.from({ length: width }, (_, i) => (i % 3 === 0 ? Number.NaN : i / 10));
  const nodes: OnnxNode[] = [];
  let matrix = 'features';
  if (isImputed) {
    const imputer = { imputed_value_floats: { floats: fills }, replaced_value_float: { float: Number.NaN } };
    nodes.push({ type: 'Imputer', inputs: [matrix], output: 'filled', attributes: imputer, domain: ML });
    matrix = 'filled';
  }
  if (words) {
    const codes = { keys_strings: { strings: words }, values_floats: { floats: words.map((_, i) => i) }, default_float: { float: -1 } };
    nodes.push({ type: 'LabelEncoder', inputs: ['city'], output: 'code', attributes: codes, domain: ML });
    nodes.push({ type: 'Concat', inputs: [matrix, 'code'], output: 'matrix', attributes: { axis: 1 } });
    matrix = 'matrix';
  }
  const trees = { inputs: [matrix], attributes, domain: ML };
  if (form === 'value')
    nodes.push({ ...trees, type: 'TreeEnsembleRegressor', output: 'sum' }, { type: 'Identity', inputs: ['sum'], output: 'value' });
  else if (form === 'classifier') nodes.push({ ...trees, type: 'TreeEnsembleClassifier', ignored: ['label'], output: 'probabilities' });
  else
    nodes.push(
      { ...trees, type: 'TreeEnsembleRegressor', output: 'sum' },
      { type: 'Sigmoid', inputs: ['sum'], output: 'p' },
      { type: 'Sub', inputs: ['one', 'p'], output: 'not_p' },
      { type: 'Concat', inputs: ['not_p', 'p'], output: 'probabilities', attributes: { axis: 1 } },
    );
  const label: OnnxValue = { name: 'label', dataType: ONNX_TYPES.INT64, shape: ['N'] };
  if (form !== 'classifier')
    nodes.push(
      { type: 'GreaterOrEqual', inputs: [form === 'value' ? 'sum' : 'p', 'threshold'], output: 'above' },
      { type: 'Squeeze', inputs: ['above', 'axis'], output: 'flat' },
      { type: 'Cast', inputs: ['flat'], output: 'label', attributes: { to: ONNX_TYPES.INT64 } },
    );
  const inputs = [value('features', width), ...(words ? [value('city', 1, 'BYTES')] : [])];
  const outputs = [label, form === 'value' ? value('value', 1) : value('probabilities', 2)];
  return onnxModel({ inputs, outputs, nodes, constants: { one: [1], threshold: [0.4], axis: { ints: [1] } } });
}

function makeRows({ width, words, thresholds }: Forest, rows: number, random: () => number): Record<string, Tensor> {
  const any = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
  const one = (): number => (thresholds.length > 0 && random() < 0.3 ? any(thresholds) : random() < 0.1 ? Number.NaN : random() * 4 - 2);
  const features = new Tensor('float32', Float32Array.from({ length: rows * width }, one), [rows, width]);
  if (!words) return { features };
  return {
    features,
    city: new Tensor(
      'string',
      Array.from({ length: rows }, () => any([...words, 'Chur', ''])),
      [rows, 1],
    ),
  };
}

const opened: OnnxSession[] = [];
afterEach(() => opened.splice(0).forEach((session) => session.release()));

async function openBoth({ bytes, form }: Forest) {
  const [oracle, session] = [await openOnnx(bytes), await openSession(bytes)];
  opened.push(oracle, session);
  return { oracle, session, output: form === 'value' ? 'value' : 'probabilities' };
}

describe('the walk over trees', () => {
  it('answers like ONNX Runtime: sums bit for bit, probabilities as near as its logistic function is exact (seeded)', async () => {
    let worst = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const forest = makeForest(seed);
      const { oracle, session, output } = await openBoth(forest);
      expect([seed, session.runtime]).toEqual([seed, { name: 'trees', reason: '' }]);
      const random = seededRandom(seed + 1_000);
      for (const rows of [1, 2, 3, 4, 7, 8, 9, 30]) {
        const feeds = makeRows(forest, rows, random);
        const expected = (await oracle.run(feeds, output)).data as Float32Array;
        const tensor = await session.run(feeds, output);
        const got = tensor.data as Float32Array;
        const together = await session.runAll(feeds, ['label', output]);
        expect([seed, rows, together[output]!.data]).toEqual([seed, rows, got]);
        const labels = (await oracle.run(feeds, 'label')).data as BigInt64Array;
        for (const [row, one] of labels.entries())
          if (forest.form !== 'probability' || Math.abs(got[row * 2 + 1]! - 0.4) > LINK_TOLERANCE)
            expect([seed, rows, row, together.label!.data[row]]).toEqual([seed, rows, row, one]);
        expect(together.label!.dims).toEqual([rows]);
        expect([seed, rows, tensor.dims]).toEqual([seed, rows, [rows, forest.form === 'value' ? 1 : 2]]);
        if (forest.form === 'value') expect([seed, rows, [...got]]).toEqual([seed, rows, [...expected]]);
        else for (const [i, score] of got.entries()) worst = Math.max(worst, Math.abs(score - expected[i]!));
      }
    }
    expect(worst).toBeLessThan(LINK_TOLERANCE);
  });

  it('gives a row equal bits wherever it stands in its run', async () => {
    const forest = makeForest(5, { form: 'probability', trees: 30 });
    const { session, output } = await openBoth(forest);
    const feeds = makeRows(forest, 20, seededRandom(3));
    const whole = [...((await session.run(feeds, output)).data as Float32Array)];
    for (let from = 0; from < 20; from++)
      for (const rows of [1, 2, 5, 8].filter((rows) => from + rows <= 20)) {
        const numbers = (feeds.features!.data as Float32Array).slice(from * forest.width, (from + rows) * forest.width);
        const part: Record<string, Tensor> = { features: new Tensor('float32', numbers, [rows, forest.width]) };
        if (feeds.city) part.city = new Tensor('string', (feeds.city.data as string[]).slice(from, from + rows), [rows, 1]);
        expect([...((await session.run(part, output)).data as Float32Array)]).toEqual(whole.slice(from * 2, (from + rows) * 2));
      }
  });

  it('keeps what it gave when the memory is the caller’s own', async () => {
    const forest = makeForest(6, { form: 'value' });
    const { session } = await openBoth(forest);
    const random = seededRandom(4);
    const first = (await session.runAll(makeRows(forest, 5, random), ['value'])).value!.data as Float32Array;
    const before = [...first];
    await session.runAll(makeRows(forest, 5, random), ['value']);
    await session.run(makeRows(forest, 5, random), 'value');
    expect([...first]).toEqual(before);
  });

  it('leaves to ONNX Runtime what does not fit the graph, which says why', async () => {
    const forest = makeForest(7, { form: 'value' });
    const { session } = await openBoth(forest);
    const wrong = { ...makeRows(forest, 2, seededRandom(1)), features: new Tensor('float32', new Float32Array(2 * 99), [2, 99]) };
    await expect((async () => session.run(wrong, 'value'))()).rejects.toThrow(/Got invalid dimensions|index: 1 Got: 99/);
    await expect((async () => session.run({}, 'value'))()).rejects.toThrow(/features|input/i);
  });

  it.each<[string, Shape, RegExp]>([
    ['trees that are averaged', { form: 'value', attributes: { aggregate_function: 'AVERAGE' } }, /not summed/],
    ['nodes that ask for equality', { form: 'value', comparison: 'BRANCH_EQ' as Comparison, leaves: 3 }, /compare by BRANCH_EQ/],
    ['a classifier without a logistic end', { form: 'classifier', attributes: { post_transform: 'SOFTMAX' } }, /logistic/],
    ['three classes', { form: 'classifier', attributes: { classlabels_int64s: { ints: [0, 1, 2] } } }, /3 classes/],
    ['a leaf without weight', { form: 'value', trees: 1, leaves: 2, attributes: ONE_WEIGHT }, /a leaf has no weight/],
    ['a tree that is deeper than 64', { form: 'value', trees: 1, leaves: 80, isChain: true }, /depth 79; at most 64/],
  ])('does not walk over %s', async (_, shape, reason) => {
    const forest = makeForest(8, shape);
    const { session, oracle, output } = await openBoth(forest);
    expect(session.runtime).toEqual({ name: 'onnxruntime', reason: expect.stringMatching(reason) as string });
    const feeds = makeRows(forest, 5, seededRandom(2));
    expect((await session.run(feeds, output)).data).toEqual((await oracle.run(feeds, output)).data);
  });

  it('does not walk over a graph that does more than it knows', async () => {
    const { session } = await openBoth({ ...makeForest(1), form: 'probability', bytes: manyOutputsModel() });
    expect(session.runtime).toEqual({ name: 'onnxruntime', reason: 'nothing computes features' });
  });

  it('does not walk over a graph that gives no scores', async () => {
    const session = await openSession(sumModel());
    opened.push(session);
    expect(session.runtime).toEqual({ name: 'onnxruntime', reason: 'the graph has no scores' });
  });
});

describe('trees in a process of their own', () => {
  it('are walked there, with the same bits', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'headrace-trees-'));
    try {
      const forest = makeForest(10, { form: 'probability', trees: 40 });
      const path = join(folder, 'trees.onnx');
      writeFileSync(path, forest.bytes);
      const file = { path, sha256: createHash('sha256').update(forest.bytes).digest('hex') };
      const { session, output } = await openBoth(forest);
      const [there, unwalked] = [await openOnnxInWorker(file), await openOnnxInWorker(file, undefined, 'onnxruntime')];
      opened.push(there, unwalked);
      expect([there.runtime.name, unwalked.runtime]).toEqual(['trees', { name: 'onnxruntime', reason: 'it is turned off' }]);
      const feeds = makeRows(forest, 20, seededRandom(9));
      const here = [...((await session.run(feeds, output)).data as Float32Array)];
      expect([...((await there.run(feeds, output)).data as Float32Array)]).toEqual(here);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
