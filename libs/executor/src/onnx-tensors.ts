import { AppError } from '@headrace/base/errors';
import type { Tensor as OrtTensor } from 'onnxruntime-node';
import { makeTensor, type OnnxSession, type OnnxTensorInfo } from './onnx-runtime.js';
import { DATATYPES, datatypeOf, elementCount, type Datatype, type Tensor, type TensorInfo, type TensorSession } from './tensor.js';

/** A session as tensors see it: every input and output of the graph, whatever its type and shape. */
export class OnnxTensors implements TensorSession {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  #isRowWise = false;

  /** @throws AppError MODEL_LOAD_FAILED when an input is of a type that nobody could send, or no output can be given. */
  constructor(
    private readonly session: OnnxSession,
    name: string,
    /** What is known of inputs beyond what the graph says. */
    shapes: ReadonlyMap<string, readonly number[]> = new Map(),
  ) {
    const strange = session.inputs.find((input) => datatypeOf(input.type) === undefined);
    if (strange) throw new AppError('MODEL_LOAD_FAILED', `input ${strange.name} of ${name} is ${strange.type}, which cannot be sent`);
    this.inputs = session.inputs.flatMap(toInfo).map((info) => ({ ...info, shape: shapes.get(info.name) ?? info.shape }));
    // Outputs that are no tensors (sequences and maps of classifiers) cannot be asked for.
    this.outputs = session.outputs.flatMap(toInfo);
    if (this.outputs.length === 0) throw new AppError('MODEL_LOAD_FAILED', `${name} has no output that is a tensor`);
  }

  get isRowWise(): boolean {
    return this.#isRowWise;
  }

  /**
   * For a graph that promises to answer row by row: believed when its shapes allow it and some rows give as many rows of every output. Rows are
   * all that is free then, so that the rows of two requests always fit into one tensor.
   */
  async proveRowWise(): Promise<void> {
    const isFree = (info: TensorInfo): boolean => info.shape[0] === -1;
    const isFixed = (info: TensorInfo): boolean => info.shape.slice(1).every((size) => size >= 0);
    if (![...this.inputs, ...this.outputs].every(isFree) || !this.inputs.every(isFixed)) return;
    const outputs = await this.run(
      this.inputs.map((info) => zeros(info, PROOF_ROWS)),
      this.outputs.map((output) => output.name),
    );
    this.#isRowWise = outputs.every((output) => output.shape[0] === PROOF_ROWS);
  }

  run(inputs: readonly Tensor[], outputs: readonly string[]): readonly Tensor[] | Promise<readonly Tensor[]> {
    const feeds: Record<string, OrtTensor> = {};
    for (const input of inputs) feeds[input.name] = toOrt(input);
    const answer = this.session.runAll(feeds, outputs);
    const read = (tensors: Record<string, OrtTensor>): Tensor[] => outputs.map((name) => fromOrt(name, tensors[name]!));
    return answer instanceof Promise ? answer.then(read) : read(answer);
  }
}

const PROOF_ROWS = 3;

/** Of any shape in which all but the first size is fixed. */
function zeros({ name, datatype, shape }: TensorInfo, rows: number): Tensor {
  const full = [rows, ...shape.slice(1)];
  const count = elementCount(full);
  const texts = datatype === 'BYTES' ? new Array<string>(count).fill('') : [];
  return { name, datatype, shape: full, bytes: new Uint8Array(count * DATATYPES[datatype].bytes), texts };
}

const ELEMENTS = {
  BOOL: Uint8Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  // The runtime takes half floats by their bits.
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const satisfies Record<Exclude<Datatype, 'BYTES'>, unknown>;

function toOrt({ datatype, shape, bytes, texts }: Tensor): OrtTensor {
  if (datatype === 'BYTES') return makeTensor('string', texts, shape);
  const { bytes: size, onnx } = DATATYPES[datatype];
  const elements = new ELEMENTS[datatype](bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / size);
  return makeTensor(onnx, elements, shape);
}

function fromOrt(name: string, tensor: OrtTensor): Tensor {
  const datatype = datatypeOf(tensor.type)!;
  const shape = [...tensor.dims];
  if (datatype === 'BYTES') return { name, datatype, shape, bytes: NO_BYTES, texts: tensor.data as string[] };
  const { buffer, byteOffset, byteLength } = tensor.data as Uint8Array;
  return { name, datatype, shape, bytes: new Uint8Array(buffer, byteOffset, byteLength), texts: [] };
}

const NO_BYTES = new Uint8Array(0);

function toInfo({ name, type, shape }: OnnxTensorInfo): TensorInfo[] {
  const datatype = datatypeOf(type);
  return datatype ? [{ name, datatype, shape }] : [];
}
