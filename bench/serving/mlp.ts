/** An MLP 30-128-64-1 with weights from a seed. */
import type { OnnxConstant, OnnxNode } from '@headrace/testkit/onnx-graph';
import type { BenchModel } from './onnx.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { FEATURES, benchGraph } = (await import(new URL('./onnx.ts', import.meta.url).href)) as typeof import('./onnx.js');

const WIDTHS = [FEATURES, 128, 64, 1] as const;

export function makeMlp(random: () => number): BenchModel {
  const layers = WIDTHS.slice(1).map((outputs, i) => {
    const inputs = WIDTHS[i]!;
    const weight = (): number => (random() - 0.5) * (2 / Math.sqrt(inputs));
    return {
      inputs,
      outputs,
      weights: Float32Array.from({ length: inputs * outputs }, weight),
      bias: Float32Array.from({ length: outputs }, weight),
    };
  });
  const predict = (row: readonly number[]): number => {
    let values = row;
    for (const [i, { outputs, weights, bias }] of layers.entries()) {
      const sums = Array.from(bias, (start, o) => values.reduce((sum, value, k) => sum + value * weights[k * outputs + o]!, start));
      values = i < layers.length - 1 ? sums.map((sum) => Math.max(0, sum)) : sums;
    }
    return 1 / (1 + Math.exp(-values[0]!));
  };
  return { onnx: graphOf(layers), predict };
}

type Layer = { readonly inputs: number; readonly outputs: number; readonly weights: Float32Array; readonly bias: Float32Array };

function graphOf(layers: readonly Layer[]): Uint8Array {
  const nodes: OnnxNode[] = [];
  const constants: Record<string, OnnxConstant> = { one: [1] };
  let current = 'features';
  layers.forEach(({ inputs, outputs, weights, bias }, i) => {
    constants[`w${i}`] = { dims: [inputs, outputs], floats: weights };
    constants[`b${i}`] = { dims: [outputs], floats: bias };
    nodes.push(
      { type: 'MatMul', inputs: [current, `w${i}`], output: `m${i}` },
      { type: 'Add', inputs: [`m${i}`, `b${i}`], output: `a${i}` },
      { type: i < layers.length - 1 ? 'Relu' : 'Sigmoid', inputs: [`a${i}`], output: `h${i}` },
    );
    current = `h${i}`;
  });
  nodes.push(
    { type: 'Sub', inputs: ['one', current], output: 'q' },
    { type: 'Concat', inputs: ['q', current], output: 'probabilities', attributes: { axis: 1 } },
  );
  return benchGraph({ nodes, constants });
}
