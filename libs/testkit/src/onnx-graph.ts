/**
 * Small ONNX models, written by hand so that tests need no Python. Field numbers are those of onnx.proto: ModelProto { ir_version 1, graph 7,
 * opset_import 8 }, GraphProto { node 1, name 2, input 11, output 12 }, NodeProto { input 1, output 2, op_type 4, attribute 5 }.
 */
export interface OnnxValue {
  readonly name: string;
  /** TensorProto.DataType: 1 = float32, 6 = int32, 8 = string, ... */
  readonly dataType: number;
  /** A text is a free size of that name. */
  readonly shape: readonly (number | string)[];
}

export interface OnnxNode {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: Readonly<Record<string, number>>;
}

export interface OnnxGraph {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly nodes: readonly OnnxNode[];
}

export function onnxModel({ inputs, outputs, nodes }: OnnxGraph): Buffer {
  const graph = message(
    ...nodes.map((node) => field(1, nodeProto(node))),
    field(2, Buffer.from('test')),
    ...inputs.map((value) => field(11, valueInfo(value))),
    ...outputs.map((value) => field(12, valueInfo(value))),
  );
  const opset = message(field(1, Buffer.from('')), number(2, 17));
  return message(number(1, 8), field(7, graph), field(8, opset));
}

/** Element types by their number in onnx.proto, under the names that the Open Inference Protocol gives them. */
export const ONNX_TYPES = {
  BOOL: 9,
  INT8: 3,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  UINT8: 2,
  UINT16: 4,
  UINT32: 12,
  UINT64: 13,
  FP16: 10,
  FP32: 1,
  FP64: 11,
  BYTES: 8,
} as const;

export type OnnxType = keyof typeof ONNX_TYPES;

/** `in_fp32` -> `out_fp32` and so on for each type, of any shape with two dimensions, unchanged. */
export function echoModel(types: readonly OnnxType[] = Object.keys(ONNX_TYPES) as OnnxType[]): Buffer {
  const values = (prefix: string): OnnxValue[] =>
    types.map((type) => ({
      name: `${prefix}_${type.toLowerCase()}`,
      dataType: ONNX_TYPES[type],
      shape: [`${type}_rows`, `${type}_columns`],
    }));
  const [inputs, outputs] = [values('in'), values('out')];
  const nodes = inputs.map(({ name }, i) => ({ type: 'Identity', inputs: [name], output: outputs[i]!.name }));
  return onnxModel({ inputs, outputs, nodes });
}

/** int32 `a` and `b` [N, 4] -> `sum`, `difference` [N, 4], and `total`, one number over all rows of `a`: rows do not stand for themselves. */
export function sumModel(): Buffer {
  const matrix = (name: string): OnnxValue => ({ name, dataType: ONNX_TYPES.INT32, shape: ['N', 4] });
  return onnxModel({
    inputs: [matrix('a'), matrix('b')],
    outputs: [matrix('sum'), matrix('difference'), { name: 'total', dataType: ONNX_TYPES.INT32, shape: [] }],
    nodes: [
      { type: 'Add', inputs: ['a', 'b'], output: 'sum' },
      { type: 'Sub', inputs: ['a', 'b'], output: 'difference' },
      { type: 'ReduceSum', inputs: ['a'], output: 'total', attributes: { keepdims: 0 } },
    ],
  });
}

/**
 * `features` [N, 1] -> `probabilities` [N, 1], their logistic function, and beside it the doubled features `doubled`, both together `pair` [N, 2], the features as
 * `whole` (int64), `exact` (float64), `positive` (bool) and `half` (float16), and `total`, one number over all rows.
 */
export function manyOutputsModel(): Buffer {
  const column = (name: string, type: OnnxType, width = 1): OnnxValue => ({ name, dataType: ONNX_TYPES[type], shape: ['N', width] });
  const cast = (output: string, type: OnnxType) => ({ type: 'Cast', inputs: ['features'], output, attributes: { to: ONNX_TYPES[type] } });
  return onnxModel({
    inputs: [column('features', 'FP32')],
    outputs: [
      column('probabilities', 'FP32'),
      column('doubled', 'FP32'),
      column('pair', 'FP32', 2),
      column('whole', 'INT64'),
      column('exact', 'FP64'),
      column('positive', 'BOOL'),
      column('half', 'FP16'),
      { name: 'total', dataType: ONNX_TYPES.FP32, shape: [] },
    ],
    nodes: [
      { type: 'Sigmoid', inputs: ['features'], output: 'probabilities' },
      { type: 'Add', inputs: ['features', 'features'], output: 'doubled' },
      { type: 'Concat', inputs: ['features', 'doubled'], output: 'pair', attributes: { axis: 1 } },
      cast('whole', 'INT64'),
      cast('exact', 'FP64'),
      cast('positive', 'BOOL'),
      cast('half', 'FP16'),
      { type: 'ReduceSum', inputs: ['features'], output: 'total', attributes: { keepdims: 0 } },
    ],
  });
}

/** AttributeProto { name 1, i 3, type 20 = INT } */
function nodeProto({ type, inputs, output, attributes = {} }: OnnxNode): Buffer {
  return message(
    ...inputs.map((input) => field(1, Buffer.from(input))),
    field(2, Buffer.from(output)),
    field(4, Buffer.from(type)),
    ...Object.entries(attributes).map(([name, value]) => field(5, message(field(1, Buffer.from(name)), number(3, value), number(20, 2)))),
  );
}

/** ValueInfoProto { name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1, dim_param 2 } } } } } */
function valueInfo({ name, dataType, shape }: OnnxValue): Buffer {
  const dims = shape.map((size) => field(1, typeof size === 'number' ? number(1, size) : field(2, Buffer.from(size))));
  return message(field(1, Buffer.from(name)), field(2, field(1, message(number(1, dataType), field(2, message(...dims))))));
}

const message = (...parts: readonly Buffer[]): Buffer => Buffer.concat(parts);
const field = (at: number, content: Buffer): Buffer => message(varint((at << 3) | 2), varint(content.length), content);
const number = (at: number, value: number): Buffer => message(varint(at << 3), varint(value));

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value & 0x7f) | 0x80);
  return Buffer.from([...bytes, value]);
}
