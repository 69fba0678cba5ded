/** A tensor between the processes: name, element type of ONNX Runtime, shape, elements. */
export type SentTensor = readonly [name: string, type: string, dims: readonly number[], data: unknown];

export type ToWorker = { readonly id: number; readonly feeds: readonly SentTensor[]; readonly output: string };

export type FromWorker =
  | { readonly kind: 'opened'; readonly inputs: readonly SentInfo[]; readonly outputs: readonly SentInfo[] }
  | { readonly kind: 'refused'; readonly error: string }
  | { readonly kind: 'ran'; readonly id: number; readonly output: SentTensor }
  | { readonly kind: 'failed'; readonly id: number; readonly error: string };

interface SentInfo {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
}
