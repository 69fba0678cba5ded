import type { Tensor } from 'onnxruntime-node';
import { makeTensor, type ScoreRuntime } from './onnx-runtime.js';

/** A tensor between the processes: name, element type of ONNX Runtime, shape, elements. */
export type SentTensor = readonly [name: string, type: string, dims: readonly number[], data: unknown];

export type ToWorker = { readonly id: number; readonly feeds: readonly SentTensor[]; readonly outputs: readonly string[] };

export type FromWorker =
  | { readonly kind: 'opened'; readonly inputs: readonly SentInfo[]; readonly outputs: readonly SentInfo[]; readonly runtime: ScoreRuntime }
  | { readonly kind: 'refused'; readonly error: string }
  /** ms: of the run alone, without what it takes to send tensors. */
  | { readonly kind: 'ran'; readonly id: number; readonly outputs: readonly SentTensor[]; readonly ms: number }
  | { readonly kind: 'failed'; readonly id: number; readonly error: string };

interface SentInfo {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
}

export function toSent(tensors: Record<string, Tensor>): SentTensor[] {
  return Object.entries(tensors).map(([name, { type, dims, data }]) => [name, type, dims, type === 'float16' ? bitsOf(data) : data]);
}

export function fromSent(sent: readonly SentTensor[]): Record<string, Tensor> {
  return Object.fromEntries(sent.map(([name, type, dims, data]) => [name, makeTensor(type, data, dims)]));
}

/** Half floats by their bits: not every runtime that reads the message has a Float16Array. */
function bitsOf(data: Tensor['data']): Uint16Array {
  const { buffer, byteOffset, length } = data as Uint16Array;
  return new Uint16Array(buffer, byteOffset, length);
}
