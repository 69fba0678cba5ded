import { AppError } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { Tensor } from 'onnxruntime-node';
import type { OnnxSession } from '../onnx-runtime.js';
import { readEnsemble, type Ensemble } from './ensemble.js';
import { NoTrees } from './refused.js';
import { LANES, makeTreeKernel, type TreeKernel } from './tree-kernel.js';
import { readTreeGraph, type LabelRule, type TextColumn, type TreeGraph } from './tree-graph.js';

/**
 * A session whose scores and labels come from our own walk over its trees where its graph is one that we know, and from ONNX Runtime where it is not, or where
 * a caller asks for other outputs, too. Leaves and sums are those of ONNX Runtime bit for bit; its logistic function is an approximation, so that probabilities
 * differ from its by less than LINK_TOLERANCE. Both have answered the same rows, made from the thresholds themselves, before the first request.
 * @param output the graph's output that carries the scores
 */
export async function openTrees(session: OnnxSession, bytes: Uint8Array, output: string): Promise<OnnxSession> {
  let walk: TreeWalk;
  let label: string | undefined;
  try {
    walk = openWalk(session, bytes, output);
    label = await proveEqual(session, walk, output);
  } catch (error) {
    // Numbers that no reader here takes are not the file's fault: ONNX Runtime has opened it.
    if (error instanceof NoTrees || error instanceof AppError)
      return { ...session, runtime: { name: 'onnxruntime', reason: error.message } };
    throw error;
  }
  return {
    ...session,
    runtime: { name: 'trees', reason: '' },
    run: (feeds, asked) => (asked === output ? walk.run(feeds) : undefined) ?? session.run(feeds, asked),
    runAll: (feeds, asked) =>
      (asked.every((name) => name === output || name === label) ? walk.runAll(feeds, asked, output) : undefined) ??
      session.runAll(feeds, asked),
  };
}

type Feeds = Readonly<Record<string, Tensor>>;

function openWalk(session: OnnxSession, bytes: Uint8Array, output: string): TreeWalk {
  const others = session.outputs.flatMap(({ name, type }) => (name !== output && type === 'int64' ? [name] : []));
  const graph = readTreeGraph(bytes, output, others);
  const widthOf = (name: string): number => {
    const width = session.inputs.find((input) => input.name === name)?.shape[1] ?? -1;
    if (width < 1) throw new NoTrees(`it does not say how many columns ${name} has`);
    return width;
  };
  const denseWidth = graph.dense ? widthOf(graph.dense.input) : 0;
  const { fills } = graph.dense ?? {};
  if (fills && fills.length !== denseWidth && fills.length !== 1) throw new NoTrees('its imputer has another number of columns');
  const used = new Set(graph.parts.map((part) => part.input));
  const unused = session.inputs.find((input) => !used.has(input.name));
  if (unused) throw new NoTrees(`its trees do not read ${unused.name}`);
  if (used.size !== graph.parts.length) throw new NoTrees('an input stands in its matrix twice');
  return new TreeWalk(graph, denseWidth, readEnsemble(graph.ensemble, denseWidth + graph.texts.length));
}

class TreeWalk {
  readonly ensemble: Ensemble;
  readonly graph: TreeGraph;
  readonly denseWidth: number;
  readonly #kernel: TreeKernel;
  readonly #fills: Float32Array | undefined;
  /** First column of the float input in the matrix. */
  readonly #denseAt: number;
  readonly #texts: readonly { readonly column: TextColumn; readonly at: number }[];
  #scores = new Float32Array(0);

  constructor(graph: TreeGraph, denseWidth: number, ensemble: Ensemble) {
    this.graph = graph;
    this.denseWidth = denseWidth;
    this.ensemble = ensemble;
    this.#kernel = makeTreeKernel(ensemble);
    let at = 0;
    const texts: { column: TextColumn; at: number }[] = [];
    this.#denseAt = 0;
    for (const part of graph.parts) {
      if ('codes' in part) texts.push({ column: part, at: at++ });
      else {
        this.#denseAt = at;
        at += denseWidth;
      }
    }
    this.#texts = texts;
    const fills = graph.dense?.fills;
    this.#fills = fills && Float32Array.from({ length: denseWidth }, (_, i) => fills[i % fills.length]!);
  }

  /** The scores, in memory that the next run uses again. undefined: the feeds are not of the shape that the graph names, about which ONNX Runtime says more. */
  run(feeds: Feeds): Tensor | undefined {
    const rows = this.#rowsOf(feeds);
    if (rows === undefined) return undefined;
    const size = rows * this.graph.width;
    if (this.#scores.length < size) this.#scores = new Float32Array(size);
    return this.#fill(feeds, rows, this.#scores.subarray(0, size), undefined);
  }

  /** As `run`, with the label if it is asked for, in memory of their own. */
  runAll(feeds: Feeds, asked: readonly string[], output: string): Record<string, Tensor> | undefined {
    const rows = this.#rowsOf(feeds);
    if (rows === undefined) return undefined;
    const labels = asked.some((name) => name !== output) ? new BigInt64Array(rows) : undefined;
    const scores = this.#fill(feeds, rows, new Float32Array(rows * this.graph.width), labels);
    return Object.fromEntries(asked.map((name) => [name, name === output ? scores : new Tensor('int64', labels!, [rows])]));
  }

  #rowsOf(feeds: Feeds): number | undefined {
    const { dense } = this.graph;
    const first = feeds[dense?.input ?? this.graph.texts[0]!.input];
    const rows = first?.dims[0];
    const isFit = (tensor: Tensor | undefined, type: string, width: number): boolean =>
      tensor?.type === type && tensor.dims.length === 2 && tensor.dims[0] === rows && tensor.dims[1] === width;
    if (dense && !isFit(first, 'float32', this.denseWidth)) return undefined;
    for (const { column } of this.#texts) if (!isFit(feeds[column.input], 'string', 1)) return undefined;
    return rows;
  }

  #fill(feeds: Feeds, rows: number, scores: Float32Array, labels: BigInt64Array | undefined): Tensor {
    const { dense } = this.graph;
    const numbers = dense && (feeds[dense.input]!.data as Float32Array);
    for (let from = 0; from < rows; from += LANES) {
      const count = Math.min(LANES, rows - from);
      let hasGaps = false;
      if (numbers && this.#copyNumbers(numbers, from, count)) hasGaps = true;
      for (let i = 0; i < this.#texts.length; i++) this.#copyCodes(feeds, i, from, count);
      this.#walk(count, hasGaps, scores, labels, from);
    }
    return new Tensor('float32', scores, [rows, this.graph.width]);
  }

  /** @returns whether a NaN is among them, behind the imputer. */
  #copyNumbers(numbers: Float32Array, from: number, count: number): boolean {
    const { rows, rowSize } = this.#kernel;
    const { denseWidth } = this;
    const fills = this.#fills;
    let hasGaps = false;
    for (let row = 0, at = from * denseWidth; row < count; row++) {
      for (let column = 0, to = row * rowSize + this.#denseAt; column < denseWidth; column++, at++, to++) {
        let value = numbers[at]!;
        if (value !== value) {
          if (fills) value = fills[column]!;
          if (value !== value) hasGaps = true;
        }
        rows[to] = value;
      }
    }
    return hasGaps;
  }

  #copyCodes(feeds: Feeds, i: number, from: number, count: number): void {
    const { column, at } = this.#texts[i]!;
    const words = feeds[column.input]!.data as unknown as string[];
    const { rows, rowSize } = this.#kernel;
    for (let row = 0; row < count; row++) rows[row * rowSize + at] = column.codes.get(words[from + row]!) ?? column.otherwise;
  }

  /** Four rows one by one take as long as eight together; rows of before stand in the lanes that are not asked for. */
  #walk(count: number, hasGaps: boolean, scores: Float32Array, labels: BigInt64Array | undefined, from: number): void {
    const kernel = this.#kernel;
    if (count > ONE_BY_ONE_MAX) {
      if (hasGaps) kernel.allWithGaps();
      else kernel.all();
      for (let row = 0; row < count; row++) this.#answer(kernel.sums[row]!, scores, labels, from + row);
      return;
    }
    for (let row = 0; row < count; row++) {
      if (row > 0) kernel.rows.copyWithin(0, row * kernel.rowSize, (row + 1) * kernel.rowSize);
      if (hasGaps) kernel.oneWithGaps();
      else kernel.one();
      this.#answer(kernel.sums[0]!, scores, labels, from + row);
    }
  }

  #answer(sum: number, scores: Float32Array, labels: BigInt64Array | undefined, row: number): void {
    const { link, width, other, label } = this.graph;
    const total = Math.fround(sum + this.ensemble.base);
    const score = link === 'logistic' ? Math.fround(1 / (1 + Math.exp(-total))) : total;
    if (width === 1) scores[row] = score;
    else {
      scores[2 * row] = other === 'half' ? 0.5 : 1 - score;
      scores[2 * row + 1] = score;
    }
    if (!labels || !label) return;
    const isSecond = label.of === 'score' ? score >= label.threshold : total > label.threshold;
    labels[row] = label.values[isSecond ? 1 : 0];
  }
}

const ONE_BY_ONE_MAX = 3;
/** The runtime's logistic function stays within this of the exact one (measured: 1.2e-7). */
const LINK_TOLERANCE = 1e-6;
const PROOF_ROWS = 256;

/** @returns the label's output, if its labels agree, too. @throws NoTrees when the walk scores rows near the thresholds otherwise than ONNX Runtime. */
async function proveEqual(session: OnnxSession, walk: TreeWalk, output: string): Promise<string | undefined> {
  const { label } = walk.graph;
  const asked = [output, ...(label ? [label.output] : [])];
  const feeds = proofRows(walk);
  const oracle = await session.runAll(feeds, asked);
  const answers = walk.runAll(feeds, asked, output)!;
  const expected = oracle[output]!.data as Float32Array;
  const got = answers[output]!.data as Float32Array;
  const tolerance = walk.graph.link === 'logistic' ? LINK_TOLERANCE : 0;
  if (got.length !== expected.length)
    throw new NoTrees(`it answers ${expected.length / PROOF_ROWS} columns instead of ${walk.graph.width}`);
  for (const [i, score] of got.entries()) {
    // Not `>`: a NaN agrees with nothing but itself.
    if (Object.is(score, expected[i]) || Math.abs(score - expected[i]!) <= tolerance) continue;
    throw new NoTrees(`ONNX Runtime answers ${expected[i]} where the walk over its trees gives ${score}`);
  }
  return label && areLabelsEqual(label, oracle, answers, got) ? label.output : undefined;
}

function areLabelsEqual({ output, of, threshold }: LabelRule, oracle: Feeds, answers: Feeds, scores: Float32Array): boolean {
  const [want, got] = [oracle[output]!, answers[output]!];
  if (want.dims.length !== 1) return false;
  const labels = got.data as BigInt64Array;
  const width = scores.length / PROOF_ROWS;
  return (want.data as BigInt64Array).every((one, row) => {
    // Where the two scores may stand on either side of the threshold, so may the labels.
    const isAtThreshold = of === 'score' && Math.abs(scores[row * width + width - 1]! - threshold) <= LINK_TOLERANCE;
    return one === labels[row] || isAtThreshold;
  });
}

/** Values at, just below and just above thresholds, any between, and gaps; words of the encoders and others. From a seed: equal for equal models. */
function proofRows({ ensemble, graph, denseWidth }: TreeWalk): Record<string, Tensor> {
  const random = seededRandom(ensemble.values.length);
  const thresholds: number[][] = Array.from({ length: ensemble.columns }, () => []);
  for (const [node, feature] of ensemble.features.entries())
    if (feature < ensemble.columns) thresholds[feature]!.push(ensemble.values[node]!);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
  const feeds: Record<string, Tensor> = {};
  let column = 0;
  for (const part of graph.parts) {
    if ('codes' in part) {
      const words = [...part.codes.keys(), '', 'no such word'];
      feeds[part.input] = new Tensor(
        'string',
        Array.from({ length: PROOF_ROWS }, () => pick(words)),
        [PROOF_ROWS, 1],
      );
      column++;
      continue;
    }
    const numbers = new Float32Array(PROOF_ROWS * denseWidth);
    for (let i = 0; i < numbers.length; i++) {
      const known = thresholds[column + (i % denseWidth)]!;
      const near = known.length > 0 ? pick(known) : random();
      numbers[i] = random() < 0.05 ? Number.NaN : pick([near, nextFloat(near, 1), nextFloat(near, -1), near + (random() - 0.5) * near]);
    }
    feeds[part.input] = new Tensor('float32', numbers, [PROOF_ROWS, denseWidth]);
    column += denseWidth;
  }
  return feeds;
}

const floats = new Float32Array(1);
const bits = new Int32Array(floats.buffer);

/** The neighbour of a float32. @param direction 1 = away from zero, -1 = towards it */
function nextFloat(value: number, direction: 1 | -1): number {
  floats[0] = value;
  if (value !== 0 && Number.isFinite(value)) bits[0]! += direction;
  return floats[0];
}
