/** ONNX files written by hand, so that the models of the benches need no Python. Field numbers are those of onnx.proto. */
import { BinaryWriter } from '@bufbuild/protobuf/wire';

export const FEATURES = 30;

export interface BenchModel {
  readonly onnx: Uint8Array;
  /** Probability of the positive class, computed here. */
  predict(row: readonly number[]): number;
}

/** An attribute of a node: an integer, a text, or a list of integers, numbers or texts. */
export type Attribute =
  number | string | { readonly ints: readonly number[] } | { readonly floats: readonly number[] } | { readonly strings: readonly string[] };

/** ModelProto { ir_version 1, graph 7, opset_import 8 }: `features` [N, 30] -> `probabilities` [N, 2]. */
export function modelProto(name: string, nodes: readonly Uint8Array[], tensors: readonly Uint8Array[]): Uint8Array {
  // GraphProto { node 1, name 2, initializer 5, input 11, output 12 }
  const graph = new BinaryWriter();
  for (const bytes of nodes) graph.uint32(10).bytes(bytes);
  graph.uint32(18).string(name);
  for (const bytes of tensors) graph.uint32(42).bytes(bytes);
  graph.uint32(90).bytes(value('features', FEATURES)).uint32(98).bytes(value('probabilities', 2));
  const opset = (domain: string, version: number): Uint8Array =>
    new BinaryWriter().uint32(10).string(domain).uint32(16).int64(version).finish();
  const model = new BinaryWriter().uint32(8).int64(8).uint32(58).bytes(graph.finish());
  return model.uint32(66).bytes(opset('', 17)).uint32(66).bytes(opset('ai.onnx.ml', 3)).finish();
}

/** NodeProto { input 1, output 2, op_type 4, attribute 5, domain 7 } */
export function node(
  type: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
  domain = '',
): Uint8Array {
  const writer = new BinaryWriter();
  for (const input of inputs) writer.uint32(10).string(input);
  for (const output of outputs) writer.uint32(18).string(output);
  writer.uint32(34).string(type);
  for (const [name, attribute] of Object.entries(attributes)) writer.uint32(42).bytes(attributeProto(name, attribute));
  return writer.uint32(58).string(domain).finish();
}

/** AttributeProto { name 1, i 3, s 4, floats 7, ints 8, strings 9, type 20: INT 2, STRING 3, FLOATS 6, INTS 7, STRINGS 8 } */
function attributeProto(name: string, attribute: Attribute): Uint8Array {
  const writer = new BinaryWriter().uint32(10).string(name);
  const typed = (type: number): Uint8Array => writer.uint32(160).int32(type).finish();
  if (typeof attribute === 'number') return (writer.uint32(24).int64(attribute), typed(2));
  if (typeof attribute === 'string') return (writer.uint32(34).string(attribute), typed(3));
  if ('floats' in attribute) return (attribute.floats.forEach((one) => writer.uint32(61).float(one)), typed(6));
  if ('ints' in attribute) return (attribute.ints.forEach((one) => writer.uint32(64).int64(one)), typed(7));
  return (attribute.strings.forEach((one) => writer.uint32(74).string(one)), typed(8));
}

/** TensorProto { dims 1, data_type 2, name 8, raw_data 9 } */
export function tensor(name: string, dims: readonly number[], values: Float32Array): Uint8Array {
  const writer = new BinaryWriter();
  for (const dim of dims) writer.uint32(8).int64(dim);
  return writer.uint32(16).int32(1).uint32(66).string(name).uint32(74).bytes(new Uint8Array(values.buffer)).finish();
}

/** ValueInfoProto { name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1, dim_param 2 } } } } } */
function value(name: string, columns: number): Uint8Array {
  const rowsDim = new BinaryWriter().uint32(18).string('N').finish();
  const columnsDim = new BinaryWriter().uint32(8).int64(columns).finish();
  const shape = new BinaryWriter().uint32(10).bytes(rowsDim).uint32(10).bytes(columnsDim).finish();
  const tensorType = new BinaryWriter().uint32(8).int32(1).uint32(18).bytes(shape).finish();
  return new BinaryWriter().uint32(10).string(name).uint32(18).bytes(new BinaryWriter().uint32(10).bytes(tensorType).finish()).finish();
}
