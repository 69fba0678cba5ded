import { NoTrees } from './refused.js';
import { readOnnxNodes, type OnnxNode, type OnnxNodes } from './onnx-nodes.js';

/** A string input and the code of each of its words. */
export interface TextColumn {
  readonly input: string;
  /** Its place in the matrix that the trees read. */
  readonly at: number;
  readonly codes: ReadonlyMap<string, number>;
  /** Of any other word. */
  readonly otherwise: number;
}

/** The float input as it comes; a NaN of column i becomes fills[i]. */
export interface DenseColumns {
  readonly input: string;
  /** Place of its first column in the matrix that the trees read. */
  readonly at: number;
  readonly width: number;
  readonly fills: Float32Array | undefined;
}

/** An output of int64 [N] beside the scores: which of two values a row gets. */
export interface LabelRule {
  readonly output: string;
  /** `score` at or above the threshold, or `sum` above it, is the second value. */
  readonly of: 'score' | 'sum';
  readonly threshold: number;
  readonly values: readonly [bigint, bigint];
}

/** A graph that is nothing but: columns side by side, one ensemble of trees, a function of their sum. */
export interface TreeGraph {
  readonly dense: DenseColumns | undefined;
  readonly texts: readonly TextColumn[];
  /** Of the matrix that the trees read. */
  readonly columns: number;
  /** A TreeEnsembleRegressor with one target or a TreeEnsembleClassifier of two classes. */
  readonly ensemble: OnnxNode;
  /** From the sum of a row's leaves to the answer. */
  readonly link: 'identity' | 'logistic';
  /** 1: [N, 1] answers. 2: [N, 2], the second one is the answer. */
  readonly width: 1 | 2;
  /** The first column of two: 1 - p; or 0.5, what ONNX Runtime gives when a classifier's weights are those of its class 1. */
  readonly other: 'complement' | 'half';
  readonly label: LabelRule | undefined;
}

/**
 * Graphs as our training runtime and the converters of LightGBM and XGBoost write them.
 * @param output the scores
 * @param others outputs of which one may be the label
 * @param inputs all of the graph, each with its columns
 * @throws NoTrees
 */
export function readTreeGraph(
  bytes: Uint8Array,
  output: string,
  others: readonly string[],
  inputs: ReadonlyMap<string, number>,
): TreeGraph {
  const graph = new Graph(readOnnxNodes(bytes));
  const { sum, width, answer, link: outerLink } = graph.answerOf(output);
  const ensemble = graph.producer(sum);
  const isClassifier = ensemble.type === 'TreeEnsembleClassifier';
  if (isClassifier) {
    if (outerLink !== 'identity' || ensemble.outputs[1] !== output) throw new NoTrees('something stands behind its classifier');
    checkClassifier(ensemble);
  } else if (ensemble.type !== 'TreeEnsembleRegressor') throw new NoTrees(`${output} comes from ${ensemble.type}, not from trees`);
  const matrix = placed(graph.partsOf(ensemble.inputs[0]!), inputs);
  const isHalf = isClassifier && ensemble.attributes.get('class_ids')?.ints[0] === 1;
  // Which of the two would get it is nowhere written.
  if (isHalf && ensemble.attributes.has('base_values')) throw new NoTrees('its classifier has a base value beside weights of class 1');
  const label = isClassifier ? labelOfClassifier(ensemble, others) : graph.labelOf(answer, others);
  const form = {
    link: isClassifier ? 'logistic' : outerLink,
    width: isClassifier ? 2 : width,
    other: isHalf ? 'half' : 'complement',
  } as const;
  return { ...matrix, ensemble, ...form, label };
}

type Part = Pick<DenseColumns, 'input' | 'fills'> | Omit<TextColumn, 'at'>;

/** Gives each part its place in the matrix. */
function placed(parts: readonly Part[], inputs: ReadonlyMap<string, number>): Pick<TreeGraph, 'dense' | 'texts' | 'columns'> {
  const texts: TextColumn[] = [];
  let dense: DenseColumns | undefined;
  let columns = 0;
  for (const part of parts) {
    const at = columns;
    if ('codes' in part) {
      texts.push({ ...part, at });
      columns++;
      continue;
    }
    if (dense) throw new NoTrees('its float input stands in its matrix twice');
    const width = inputs.get(part.input) ?? -1;
    if (width < 1) throw new NoTrees(`it does not say how many columns ${part.input} has`);
    dense = { ...part, at, width, fills: part.fills && filled(part.fills, width) };
    columns += width;
  }
  const used = new Set(parts.map(({ input }) => input));
  const unused = [...inputs.keys()].find((input) => !used.has(input));
  if (unused !== undefined) throw new NoTrees(`its trees do not read ${unused}`);
  if (used.size !== parts.length) throw new NoTrees('an input stands in its matrix twice');
  return { dense, texts, columns };
}

/** One value for each column; a single one is that of all. */
function filled(fills: Float32Array, width: number): Float32Array {
  if (fills.length === width) return fills;
  if (fills.length !== 1) throw new NoTrees('its imputer has another number of columns');
  return new Float32Array(width).fill(fills[0]!);
}

interface Answer {
  readonly answer: string;
  readonly sum: string;
  readonly width: 1 | 2;
  readonly link: TreeGraph['link'];
}

class Graph {
  readonly #producers = new Map<string, OnnxNode>();
  readonly #floats: OnnxNodes['floats'];

  constructor({ nodes, floats }: OnnxNodes) {
    for (const node of nodes) for (const output of node.outputs) this.#producers.set(output, node);
    this.#floats = floats;
  }

  /** @throws NoTrees when it is an input or a constant. */
  producer(name: string): OnnxNode {
    const node = this.#producers.get(name);
    if (!node) throw new NoTrees(`nothing computes ${name}`);
    return node;
  }

  answerOf(output: string): Answer {
    const node = this.producer(output);
    if (node.type === 'Concat') {
      const [negative, positive] = node.inputs;
      if (node.inputs.length !== 2 || !this.#isComplement(negative!, positive!))
        throw new NoTrees('it puts together other things than p and 1 - p');
      return { ...this.#linked(positive!), answer: positive!, width: 2 };
    }
    const answer = this.#plain(output);
    return { ...this.#linked(answer), answer, width: 1 };
  }

  #isComplement(negative: string, positive: string): boolean {
    const sub = this.#producers.get(negative);
    if (sub?.type !== 'Sub' || sub.inputs[1] !== positive) return false;
    const one = this.#floats.get(sub.inputs[0]!);
    return one?.length === 1 && one[0] === 1;
  }

  #linked(name: string): Pick<Answer, 'sum' | 'link'> {
    const node = this.producer(name);
    if (node.type === 'Sigmoid') return { sum: this.#plain(node.inputs[0]!), link: 'logistic' };
    return { sum: name, link: 'identity' };
  }

  #plain(name: string): string {
    const node = this.producer(name);
    return node.type === 'Identity' ? this.#plain(node.inputs[0]!) : name;
  }

  /** Cast to int64 of (answer >= constant) without its column, as our training runtime writes it. */
  labelOf(answer: string, outputs: readonly string[]): LabelRule | undefined {
    for (const output of outputs) {
      const cast = this.#producers.get(output);
      const squeeze = cast?.type === 'Cast' ? this.#producers.get(cast.inputs[0]!) : undefined;
      const compare = squeeze?.type === 'Squeeze' ? this.#producers.get(squeeze.inputs[0]!) : undefined;
      if (compare?.type !== 'GreaterOrEqual' || compare.inputs[0] !== answer) continue;
      const threshold = this.#floats.get(compare.inputs[1]!);
      if (threshold?.length === 1) return { output, of: 'score', threshold: threshold[0]!, values: [0n, 1n] };
    }
    return undefined;
  }

  partsOf(matrix: string): Part[] {
    const node = this.#producers.get(matrix);
    if (!node) return [{ input: matrix, fills: undefined }];
    if (node.type === 'Identity') return this.partsOf(node.inputs[0]!);
    if (node.type === 'Concat' && [1, -1].includes(node.attributes.get('axis')?.ints[0] ?? 0))
      return node.inputs.flatMap((input) => this.partsOf(input));
    if (node.type === 'Imputer') return [this.#imputed(node)];
    if (node.type === 'LabelEncoder') return [this.#encoded(node)];
    throw new NoTrees(`${node.type} stands before its trees`);
  }

  #imputed({ inputs, attributes }: OnnxNode): Part {
    const fills = attributes.get('imputed_value_floats')?.floats ?? [];
    const replaced = attributes.get('replaced_value_float')?.floats[0];
    if (this.#producers.has(inputs[0]!)) throw new NoTrees('something stands before its imputer');
    if (fills.length === 0 || !Number.isNaN(replaced)) throw new NoTrees('its imputer fills other things than NaN');
    return { input: inputs[0]!, fills: Float32Array.from(fills) };
  }

  #encoded({ inputs, attributes }: OnnxNode): Part {
    const words = attributes.get('keys_strings')?.strings ?? [];
    const values = attributes.get('values_floats')?.floats ?? [];
    if (this.#producers.has(inputs[0]!)) throw new NoTrees('something stands before its encoder');
    // The default of the operator when the attribute is missing.
    const otherwise = attributes.get('default_float')?.floats[0] ?? -0;
    if (words.length === 0 || words.length !== values.length) throw new NoTrees('its encoder does not turn strings into floats');
    if ([...values, otherwise].some(Number.isNaN)) throw new NoTrees('its encoder gives NaN');
    const codes = new Map(words.map((word, i) => [word, values[i]!]));
    if (codes.size !== words.length) throw new NoTrees('its encoder names a word twice');
    return { input: inputs[0]!, codes, otherwise };
  }
}

function labelOfClassifier({ outputs, attributes }: OnnxNode, known: readonly string[]): LabelRule | undefined {
  const [no, yes] = attributes.get('classlabels_int64s')?.ints ?? [];
  const output = outputs[0]!;
  if (no === undefined || yes === undefined || !known.includes(output)) return undefined;
  return { output, of: 'sum', threshold: 0, values: [BigInt(no), BigInt(yes)] };
}

/** @throws NoTrees unless two classes are told apart by the logistic function of one sum. */
function checkClassifier({ attributes }: OnnxNode): void {
  const classes = (attributes.get('classlabels_int64s')?.ints.length ?? 0) + (attributes.get('classlabels_strings')?.strings.length ?? 0);
  const weights = attributes.get('class_weights')?.floats ?? [];
  const transform = attributes.get('post_transform')?.strings[0];
  if (classes !== 2) throw new NoTrees(`its trees know ${classes} classes`);
  // The operator takes weights that are all positive for probabilities already.
  if (transform !== 'LOGISTIC' || !weights.some((weight) => weight < 0))
    throw new NoTrees(`its classifier does not end in a logistic function`);
}
