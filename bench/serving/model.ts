/** The model of the comparison: an MLP 30-128-64-1 in ONNX with weights from a seed, written by hand so that the bench needs no Python. */
import { BinaryWriter } from '@bufbuild/protobuf/wire';

export const FEATURES = 30;
const WIDTHS = [FEATURES, 128, 64, 1] as const;

export interface Mlp {
  readonly onnx: Uint8Array;
  /** Probability of the positive class, computed here. */
  predict(row: readonly number[]): number;
}

export function makeMlp(random: () => number): Mlp {
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
  return { onnx: modelProto(layers), predict };
}

type Layer = { readonly inputs: number; readonly outputs: number; readonly weights: Float32Array; readonly bias: Float32Array };

// onnx.proto3: ModelProto { ir_version 1, graph 7, opset_import 8 }, GraphProto { node 1, name 2, initializer 5, input 11, output 12 },
// NodeProto { input 1, output 2, op_type 4, attribute 5 }, TensorProto { dims 1, data_type 2, name 8, raw_data 9 }
function modelProto(layers: readonly Layer[]): Uint8Array {
  const nodes: Uint8Array[] = [];
  const tensors: Uint8Array[] = [];
  let current = 'features';
  layers.forEach(({ inputs, outputs, weights, bias }, i) => {
    tensors.push(tensor(`w${i}`, [inputs, outputs], weights), tensor(`b${i}`, [outputs], bias));
    nodes.push(
      node('MatMul', [current, `w${i}`], `m${i}`),
      node('Add', [`m${i}`, `b${i}`], `a${i}`),
      node(i < layers.length - 1 ? 'Relu' : 'Sigmoid', [`a${i}`], `h${i}`),
    );
    current = `h${i}`;
  });
  tensors.push(tensor('one', [1], Float32Array.of(1)));
  nodes.push(node('Sub', ['one', current], 'q'), node('Concat', ['q', current], 'probabilities', ['axis', 1]));
  const graph = new BinaryWriter();
  for (const bytes of nodes) graph.uint32(10).bytes(bytes);
  graph.uint32(18).string('mlp');
  for (const bytes of tensors) graph.uint32(42).bytes(bytes);
  graph.uint32(90).bytes(value('features', FEATURES)).uint32(98).bytes(value('probabilities', 2));
  const opset = new BinaryWriter().uint32(10).string('').uint32(16).int64(17).finish();
  return new BinaryWriter().uint32(8).int64(8).uint32(58).bytes(graph.finish()).uint32(66).bytes(opset).finish();
}

function node(type: string, inputs: readonly string[], output: string, attribute?: readonly [string, number]): Uint8Array {
  const writer = new BinaryWriter();
  for (const input of inputs) writer.uint32(10).string(input);
  writer.uint32(18).string(output).uint32(34).string(type);
  // AttributeProto { name 1, i 3, type 20 = INT }
  if (attribute)
    writer
      .uint32(42)
      .bytes(new BinaryWriter().uint32(10).string(attribute[0]).uint32(24).int64(attribute[1]).uint32(160).int32(2).finish());
  return writer.finish();
}

function tensor(name: string, dims: readonly number[], values: Float32Array): Uint8Array {
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
