/** A boosted ensemble of 300 full trees of depth 6 with splits from a seed, as LightGBM and XGBoost leave one behind. */
import type { BenchModel } from './onnx.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { FEATURES, benchGraph } = (await import(new URL('./onnx.ts', import.meta.url).href)) as typeof import('./onnx.js');

const TREES = 300;
const DEPTH = 6;
/** Nodes of a full tree in breadth-first order: the children of i are 2i + 1 and 2i + 2. */
const INNER = 2 ** DEPTH - 1;
const NODES = 2 ** (DEPTH + 1) - 1;

interface Tree {
  readonly feature: readonly number[];
  readonly threshold: readonly number[];
  readonly leaf: readonly number[];
}

export function makeTrees(random: () => number): BenchModel {
  const trees = Array.from({ length: TREES }, (): Tree => ({
    feature: Array.from({ length: INNER }, () => Math.floor(random() * FEATURES)),
    threshold: Array.from({ length: INNER }, () => Math.fround(random() * 3 - 1.5)),
    leaf: Array.from({ length: NODES - INNER }, () => Math.fround((random() - 0.5) / 10)),
  }));
  const predict = (row: readonly number[]): number => 1 / (1 + Math.exp(-trees.reduce((sum, tree) => sum + leafOf(tree, row), 0)));
  return { onnx: graphOf(trees), predict };
}

function leafOf({ feature, threshold, leaf }: Tree, row: readonly number[]): number {
  let at = 0;
  while (at < INNER) at = row[feature[at]!]! <= threshold[at]! ? 2 * at + 1 : 2 * at + 2;
  return leaf[at - INNER]!;
}

function graphOf(trees: readonly Tree[]): Uint8Array {
  const of = <T>(each: (tree: Tree, at: number, which: number) => T): T[] =>
    trees.flatMap((tree, which) => Array.from({ length: NODES }, (_, at) => each(tree, at, which)));
  const leaves = <T>(each: (tree: Tree, at: number, which: number) => T): T[] =>
    trees.flatMap((tree, which) => tree.leaf.map((_, at) => each(tree, at, which)));
  const attributes = {
    classlabels_int64s: { ints: [0, 1] },
    post_transform: 'LOGISTIC',
    nodes_treeids: { ints: of((_, __, which) => which) },
    nodes_nodeids: { ints: of((_, at) => at) },
    nodes_modes: { strings: of((_, at) => (at < INNER ? 'BRANCH_LEQ' : 'LEAF')) },
    nodes_featureids: { ints: of(({ feature }, at) => feature[at] ?? 0) },
    nodes_values: { floats: of(({ threshold }, at) => threshold[at] ?? 0) },
    nodes_truenodeids: { ints: of((_, at) => (at < INNER ? 2 * at + 1 : 0)) },
    nodes_falsenodeids: { ints: of((_, at) => (at < INNER ? 2 * at + 2 : 0)) },
    class_treeids: { ints: leaves((_, __, which) => which) },
    class_nodeids: { ints: leaves((_, at) => INNER + at) },
    class_ids: { ints: leaves(() => 1) },
    class_weights: { floats: leaves(({ leaf }, at) => leaf[at]!) },
  };
  const ensemble = { type: 'TreeEnsembleClassifier', domain: 'ai.onnx.ml', attributes };
  return benchGraph({ nodes: [{ ...ensemble, inputs: ['features'], ignored: ['label'], output: 'probabilities' }] });
}
