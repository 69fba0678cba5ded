import { AppError } from '@headrace/base/errors';
import { Tensor } from 'onnxruntime-node';
import type { FeatureBlock } from './feature-block.js';
import type { InputPlan } from './input-plan.js';
import type { ModelSession } from './model-session.js';
import type { OnnxSession, OnnxTensorInfo, ScoreRuntime } from './onnx-runtime.js';
import { OnnxTensors } from './onnx-tensors.js';

/** Input that carries the numeric features, and outputs that carry the scores; the training runtime names them so. */
export const DENSE_INPUT = 'features';
const PROBABILITIES_OUTPUT = 'probabilities';
const VALUE_OUTPUT = 'value';

/**
 * A session with the contract of our graphs: `features` [N, numeric features] float32, one [N, 1] string input for each string
 * feature, and either `probabilities` [N, 2] (or [N, 1], or [N]) whose last column is the positive class, or the `value` [N, 1] of a regression.
 */
export class OnnxModel implements ModelSession {
  /** The same graph for callers that bring tensors. */
  readonly tensors: OnnxTensors;
  readonly #session: OnnxSession;
  readonly #plan: InputPlan;
  readonly #feeds: Record<string, Tensor> = {};
  readonly #output: string;
  #scores = new Float32Array(0);

  /** @throws AppError MODEL_LOAD_FAILED when the graph and the signature do not fit each other. */
  constructor(session: OnnxSession, plan: InputPlan, name: string) {
    this.#session = session;
    this.#plan = plan;
    this.#output = scoresOutput(session.outputs)?.name ?? PROBABILITIES_OUTPUT;
    const fault = misfit(session, plan);
    if (fault !== undefined) throw new AppError('MODEL_LOAD_FAILED', `${name}: the graph does not fit its signature: ${fault}`);
    const widths: [string, readonly number[]][] = plan.texts.map((slot) => [slot.name, [-1, 1]]);
    this.tensors = new OnnxTensors(session, name, new Map([...widths, [DENSE_INPUT, [-1, plan.numbers.length]]]));
  }

  /** What computes the scores. */
  get runtime(): ScoreRuntime {
    return this.#session.runtime;
  }

  run(block: FeatureBlock, firstRow: number, rows: number): Float32Array | Promise<Float32Array> {
    const { width } = block;
    // The native run reads the block's own memory: no copy, and no new one before it returns.
    if (width > 0)
      this.#feeds[DENSE_INPUT] = new Tensor('float32', block.numbers.subarray(firstRow * width, (firstRow + rows) * width), [rows, width]);
    for (const slot of this.#plan.texts)
      this.#feeds[slot.name] = new Tensor('string', block.texts[slot.at]!.slice(firstRow, firstRow + rows), [rows, 1]);
    const output = this.#session.run(this.#session.kind === 'direct' ? this.#feeds : { ...this.#feeds }, this.#output);
    return output instanceof Promise ? output.then((tensor) => this.#scoresOf(tensor, rows, true)) : this.#scoresOf(output, rows, false);
  }

  release(): void {
    this.#session.release();
  }

  retire(): void {
    this.#session.retire();
  }

  #scoresOf(tensor: Tensor, rows: number, isShared: boolean): Float32Array {
    const data = tensor.data as Float32Array;
    const width = data.length / rows;
    if (isShared || this.#scores.length < rows) this.#scores = new Float32Array(Math.max(rows, this.#scores.length));
    const scores = this.#scores;
    for (let row = 0, at = width - 1; row < rows; row++, at += width) scores[row] = data[at]!;
    return scores;
  }
}

function misfit(session: OnnxSession, plan: InputPlan): string | undefined {
  const expected = [
    ...(plan.numbers.length > 0 ? [{ name: DENSE_INPUT, type: 'float32', width: plan.numbers.length }] : []),
    ...plan.texts.map((slot) => ({ name: slot.name, type: 'string', width: 1 })),
  ];
  for (const want of expected) {
    const got = session.inputs.find((input) => input.name === want.name);
    if (!got) return `it has no input ${want.name}; it has ${list(session.inputs)}`;
    const width = got.shape.length === 2 ? got.shape[1]! : Number.NaN;
    if (got.type !== want.type || (width !== want.width && width !== -1))
      return `input ${want.name} is ${describe(got)}, the signature gives ${want.type}[-1,${want.width}]`;
    if (got.shape[0] !== -1) return `input ${want.name} takes ${got.shape[0]} rows only; the first dimension must be free`;
  }
  const extra = session.inputs.filter((input) => !expected.some((want) => want.name === input.name));
  if (extra.length > 0) return `the signature has nothing for its input ${list(extra)}`;
  const scores = scoresOutput(session.outputs);
  if (!scores) return `it has no output ${PROBABILITIES_OUTPUT} or ${VALUE_OUTPUT}; it has ${list(session.outputs)}`;
  const width = scores.name === VALUE_OUTPUT ? 1 : 2;
  if (scores.type !== 'float32' || scores.shape.length > 2 || (scores.shape[1] ?? 1) > width)
    return `output ${scores.name} is ${describe(scores)}, expected float32[-1,${width}]`;
  return undefined;
}

/** The output that carries the score of each row; undefined = none. */
export function scoresOutput<T extends { readonly name: string }>(outputs: readonly T[]): T | undefined {
  return outputs.find(({ name }) => name === PROBABILITIES_OUTPUT) ?? outputs.find(({ name }) => name === VALUE_OUTPUT);
}

const list = (tensors: readonly OnnxTensorInfo[]): string => tensors.map((t) => t.name).join(', ') || 'none';
const describe = (tensor: OnnxTensorInfo): string => `${tensor.type}[${tensor.shape.join(',')}]`;
