/** What the models of the benches have in common, so that they need no Python. */
import { ONNX_TYPES, onnxModel, type OnnxGraph } from '@headrace/testkit/onnx-graph';

export const FEATURES = 30;

export interface BenchModel {
  readonly onnx: Uint8Array;
  /** Probability of the positive class, computed here. */
  predict(row: readonly number[]): number;
}

/** `features` [N, 30] -> `probabilities` [N, 2]. */
export function benchGraph(graph: Pick<OnnxGraph, 'nodes' | 'constants'>): Uint8Array {
  const matrix = (name: string, columns: number) => ({ name, dataType: ONNX_TYPES.FP32, shape: ['N', columns] });
  return onnxModel({ inputs: [matrix('features', FEATURES)], outputs: [matrix('probabilities', 2)], ...graph });
}
