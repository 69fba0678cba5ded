import { Tensor } from 'onnxruntime-node';
import type { Ensemble } from './ensemble.js';
import type { DenseColumns, TextColumn, TreeGraph } from './tree-graph.js';
import { LANES, makeTreeKernel, type TreeKernel } from './tree-kernel.js';

export type Feeds = Readonly<Record<string, Tensor>>;

const ONE_BY_ONE_MAX = 3;

/** From the inputs of a graph to its scores: columns into the kernel's rows, the walk, the function of the sums. */
export class TreeWalk {
  readonly ensemble: Ensemble;
  readonly graph: TreeGraph;
  readonly #kernel: TreeKernel;
  #scores = new Float32Array(0);

  constructor(graph: TreeGraph, ensemble: Ensemble) {
    this.graph = graph;
    this.ensemble = ensemble;
    this.#kernel = makeTreeKernel(ensemble);
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
    const { dense, texts } = this.graph;
    const first = feeds[dense?.input ?? texts[0]!.input];
    const rows = first?.dims[0];
    const isFit = (tensor: Tensor | undefined, type: string, width: number): boolean =>
      tensor?.type === type && tensor.dims.length === 2 && tensor.dims[0] === rows && tensor.dims[1] === width;
    if (dense && !isFit(first, 'float32', dense.width)) return undefined;
    for (const { input } of texts) if (!isFit(feeds[input], 'string', 1)) return undefined;
    return rows;
  }

  #fill(feeds: Feeds, rows: number, scores: Float32Array, labels: BigInt64Array | undefined): Tensor {
    const { dense, texts } = this.graph;
    const numbers = dense && (feeds[dense.input]!.data as Float32Array);
    for (let from = 0; from < rows; from += LANES) {
      const count = Math.min(LANES, rows - from);
      const hasGaps = numbers !== undefined && this.#copyNumbers(numbers, dense!, from, count);
      for (const text of texts) this.#copyCodes(feeds[text.input]!.data as unknown as string[], text, from, count);
      this.#walk(count, hasGaps, scores, labels, from);
    }
    return new Tensor('float32', scores, [rows, this.graph.width]);
  }

  /** @returns whether a NaN is among them, behind the imputer. */
  #copyNumbers(numbers: Float32Array, { at: first, width, fills }: DenseColumns, from: number, count: number): boolean {
    const { rows, rowSize } = this.#kernel;
    let hasGaps = false;
    for (let row = 0, at = from * width; row < count; row++) {
      for (let column = 0, to = row * rowSize + first; column < width; column++, at++, to++) {
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

  #copyCodes(words: readonly string[], { at, codes, otherwise }: TextColumn, from: number, count: number): void {
    const { rows, rowSize } = this.#kernel;
    for (let row = 0; row < count; row++) rows[row * rowSize + at] = codes.get(words[from + row]!) ?? otherwise;
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
