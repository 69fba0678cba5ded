/**
 * Element types of tensors by their names in the Open Inference Protocol. `bytes` is the size of one element (0 = a text of any length), `onnx`
 * what ONNX Runtime calls the type, `dataType` its number in onnx.proto (TensorProto.DataType).
 */
export const DATATYPES = {
  BOOL: { bytes: 1, onnx: 'bool', dataType: 9 },
  INT8: { bytes: 1, onnx: 'int8', dataType: 3 },
  INT16: { bytes: 2, onnx: 'int16', dataType: 5 },
  INT32: { bytes: 4, onnx: 'int32', dataType: 6 },
  INT64: { bytes: 8, onnx: 'int64', dataType: 7 },
  UINT8: { bytes: 1, onnx: 'uint8', dataType: 2 },
  UINT16: { bytes: 2, onnx: 'uint16', dataType: 4 },
  UINT32: { bytes: 4, onnx: 'uint32', dataType: 12 },
  UINT64: { bytes: 8, onnx: 'uint64', dataType: 13 },
  FP16: { bytes: 2, onnx: 'float16', dataType: 10 },
  FP32: { bytes: 4, onnx: 'float32', dataType: 1 },
  FP64: { bytes: 8, onnx: 'float64', dataType: 11 },
  BYTES: { bytes: 0, onnx: 'string', dataType: 8 },
} as const satisfies Record<string, { bytes: number; onnx: string; dataType: number }>;

export type Datatype = keyof typeof DATATYPES;

/** An input or output as the graph declares it. */
export interface TensorInfo {
  readonly name: string;
  readonly datatype: Datatype;
  /** -1 = any size. */
  readonly shape: readonly number[];
}

/** A tensor with its elements in row-major order: little-endian bytes, or texts where the datatype is BYTES. */
export interface Tensor extends TensorInfo {
  /** Begins at a multiple of its element's size in its buffer, so that an array of that type may be laid over it. Empty where the datatype is BYTES. */
  readonly bytes: Uint8Array;
  readonly texts: readonly string[];
}

/** What answers tensors; the memory of an answer is its own. */
export interface TensorSession {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Each row of the first dimension is answered by itself: rows of many requests may share a run, and a large request may be cut. */
  readonly isRowWise: boolean;
  /** `inputs` in the order of the declaration. Answers at once, or by a promise where the runtime cannot do it synchronously. */
  run(inputs: readonly Tensor[], outputs: readonly string[]): readonly Tensor[] | Promise<readonly Tensor[]>;
}

export function datatypeOf(onnxType: string): Datatype | undefined {
  return (Object.keys(DATATYPES) as Datatype[]).find((name) => DATATYPES[name].onnx === onnxType);
}

export function isDatatype(name: string): name is Datatype {
  return Object.hasOwn(DATATYPES, name);
}

/** 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Rows of the first dimension; fixed-size elements are not copied. */
export function sliceRows(tensor: Tensor, from: number, rows: number): Tensor {
  const [total = 0, ...rest] = tensor.shape;
  if (from === 0 && rows === total) return tensor;
  const each = elementCount(rest);
  const size = each * DATATYPES[tensor.datatype].bytes;
  const bytes = tensor.bytes.subarray(from * size, (from + rows) * size);
  const texts = tensor.texts.slice(from * each, (from + rows) * each);
  return { ...tensor, shape: [rows, ...rest], bytes, texts };
}

/** All rows of tensors that differ in their rows only. */
export function joinRows(tensors: readonly Tensor[]): Tensor {
  const first = tensors[0]!;
  if (tensors.length === 1) return first;
  const rows = tensors.reduce((sum, tensor) => sum + tensor.shape[0]!, 0);
  const bytes = new Uint8Array(tensors.reduce((sum, tensor) => sum + tensor.bytes.length, 0));
  let at = 0;
  for (const tensor of tensors) {
    bytes.set(tensor.bytes, at);
    at += tensor.bytes.length;
  }
  return { ...first, shape: [rows, ...first.shape.slice(1)], bytes, texts: tensors.flatMap((tensor) => tensor.texts) };
}
