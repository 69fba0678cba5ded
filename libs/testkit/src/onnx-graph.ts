/**
 * Small ONNX models, written by hand so that tests need no Python. Field numbers are those of onnx.proto: ModelProto { ir_version 1, graph 7,
 * opset_import 8 }, GraphProto { node 1, name 2, initializer 5, input 11, output 12 }, NodeProto { input 1, output 2, op_type 4, attribute 5, domain 7 }.
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
  /** Outputs before it, that nothing reads. */
  readonly ignored?: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  readonly domain?: string;
}

/** An integer, a text, or a list of integers, float32 or texts. */
export type OnnxAttribute =
  | number
  | string
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly strings: readonly string[] };

export interface OnnxGraph {
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly nodes: readonly OnnxNode[];
  readonly constants?: Readonly<Record<string, OnnxConstant>>;
}

/** float32, or int64, of one dimension; or float32 of several, the last one innermost. */
export type OnnxConstant =
  readonly number[] | { readonly ints: readonly number[] } | { readonly dims: readonly number[]; readonly floats: ArrayLike<number> };

export function onnxModel({ inputs, outputs, nodes, constants = {} }: OnnxGraph): Buffer {
  const graph = message(
    ...nodes.map((node) => field(1, nodeProto(node))),
    field(2, Buffer.from('test')),
    ...Object.entries(constants).map(([name, values]) => field(5, constant(name, values))),
    ...inputs.map((value) => field(11, valueInfo(value))),
    ...outputs.map((value) => field(12, valueInfo(value))),
  );
  const opset = (domain: string, version: number): Buffer => field(8, message(field(1, Buffer.from(domain)), number(2, version)));
  return message(number(1, 8), field(7, graph), opset('', 17), opset('ai.onnx.ml', 3));
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

function nodeProto({ type, inputs, output, ignored = [], attributes = {}, domain = '' }: OnnxNode): Buffer {
  return message(
    ...inputs.map((input) => field(1, Buffer.from(input))),
    ...[...ignored, output].map((one) => field(2, Buffer.from(one))),
    field(4, Buffer.from(type)),
    ...Object.entries(attributes).map(([name, value]) => field(5, message(field(1, Buffer.from(name)), attribute(value)))),
    field(7, Buffer.from(domain)),
  );
}

/** AttributeProto { name 1, f 2, i 3, s 4, floats 7, ints 8, strings 9, type 20: FLOAT 1, INT 2, STRING 3, FLOATS 6, INTS 7, STRINGS 8 } */
function attribute(value: OnnxAttribute): Buffer {
  if (typeof value === 'number') return message(number(3, value), number(20, 2));
  if (typeof value === 'string') return message(field(4, Buffer.from(value)), number(20, 3));
  if ('float' in value) return message(varint((2 << 3) | 5), floats([value.float]), number(20, 1));
  if ('floats' in value) return message(field(7, floats(value.floats)), number(20, 6));
  if ('ints' in value) return message(field(8, message(...value.ints.map(varint))), number(20, 7));
  return message(...value.strings.map((one) => field(9, Buffer.from(one))), number(20, 8));
}

/** TensorProto { dims 1, data_type 2, name 8, raw_data 9 } */
function constant(name: string, constant: OnnxConstant): Buffer {
  const isInts = 'ints' in constant;
  const values = 'floats' in constant ? constant.floats : isInts ? constant.ints : constant;
  const dims = 'dims' in constant ? constant.dims : [values.length];
  const raw = isInts ? Buffer.from(BigInt64Array.from(constant.ints.map(BigInt)).buffer) : floats(values);
  const type = ONNX_TYPES[isInts ? 'INT64' : 'FP32'];
  return message(...dims.map((size) => number(1, size)), number(2, type), field(8, Buffer.from(name)), field(9, raw));
}

/** ValueInfoProto { name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1, dim_param 2 } } } } } */
function valueInfo({ name, dataType, shape }: OnnxValue): Buffer {
  const dims = shape.map((size) => field(1, typeof size === 'number' ? number(1, size) : field(2, Buffer.from(size))));
  return message(field(1, Buffer.from(name)), field(2, field(1, message(number(1, dataType), field(2, message(...dims))))));
}

const message = (...parts: readonly Buffer[]): Buffer => Buffer.concat(parts);
const field = (at: number, content: Buffer): Buffer => message(varint((at << 3) | 2), varint(content.length), content);
const floats = (values: ArrayLike<number>): Buffer => Buffer.from(Float32Array.from(values).buffer);
const number = (at: number, value: number): Buffer => message(varint(at << 3), varint(value));

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value & 0x7f) | 0x80);
  return Buffer.from([...bytes, value]);
}
