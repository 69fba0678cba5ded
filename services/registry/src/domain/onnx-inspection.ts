import { fieldsOf, MalformedProtobuf, text } from './protobuf-walk.js';

/** What an ONNX file says about itself, and why it may not be served (empty = it may). */
export interface OnnxReport {
  readonly inputs: readonly OnnxTensor[];
  readonly outputs: readonly OnnxTensor[];
  readonly nodes: number;
  readonly faults: readonly string[];
}

export interface OnnxTensor {
  readonly name: string;
  /** TensorProto.DataType: 1 float, 7 int64, 8 string, 11 double. */
  readonly elementType: number;
  /** null = free or named dimension. */
  readonly shape: readonly (number | null)[];
}

/** Operators that ONNX itself defines; anything else would need code that we do not have and do not trust. */
export const OPERATOR_DOMAINS: ReadonlySet<string> = new Set(['', 'ai.onnx', 'ai.onnx.ml']);

/** Graphs lie in attributes of nodes (If, Loop); real models nest two or three deep. */
const DEPTH_MAX = 32;

/**
 * Reads ModelProto (onnx.proto, field numbers in the names below) by hand. Refuses weights in other files, because ONNX Runtime
 * would read any file under its working directory for them, operators of foreign domains, and training graphs.
 */
export function inspectOnnx(model: Uint8Array): OnnxReport {
  const scan: Scan = { faults: new Set(), nodes: 0 };
  try {
    const graphs = [...fieldsOf(model)].filter((f) => f.lengthDelimited);
    for (const field of graphs) {
      if (field.number === MODEL.trainingInfo) scan.faults.add('it carries a training graph');
      if (field.number === MODEL.functions) scanFunction(field.bytes, scan);
    }
    const main = graphs.filter((f) => f.number === MODEL.graph);
    if (main.length !== 1) return refused(`it holds ${main.length} graphs instead of one`);
    const graph = main[0]!.bytes;
    scanGraph(graph, scan, 0);
    if (scan.nodes === 0) scan.faults.add('its graph has no node');
    const initialised = new Set<string>();
    for (const f of fieldsOf(graph)) if (f.number === GRAPH.initializer) initialised.add(tensorName(f.bytes));
    const tensors = (number: number): OnnxTensor[] =>
      [...fieldsOf(graph)].filter((f) => f.number === number && f.lengthDelimited).map((f) => valueInfo(f.bytes));
    return {
      // Old exporters list initialisers among the inputs; nobody feeds those.
      inputs: tensors(GRAPH.input).filter((t) => !initialised.has(t.name)),
      outputs: tensors(GRAPH.output),
      nodes: scan.nodes,
      faults: [...scan.faults],
    };
  } catch (error) {
    if (!(error instanceof MalformedProtobuf)) throw error;
    return refused(`it is not an ONNX file (${error.message})`);
  }
}

interface Scan {
  readonly faults: Set<string>;
  nodes: number;
}

const MODEL = { graph: 7, trainingInfo: 20, functions: 25 } as const;
const GRAPH = { node: 1, initializer: 5, input: 11, output: 12, sparseInitializer: 15 } as const;
const NODE = { opType: 4, attribute: 5, domain: 7 } as const;
const ATTRIBUTE = { tensor: 5, graph: 6, tensors: 10, graphs: 11, sparseTensor: 22, sparseTensors: 23 } as const;
const TENSOR = { name: 8, externalData: 13, dataLocation: 14 } as const;
const FUNCTION = { node: 7 } as const;

function refused(fault: string): OnnxReport {
  return { inputs: [], outputs: [], nodes: 0, faults: [fault] };
}

function scanGraph(graph: Uint8Array, scan: Scan, depth: number): void {
  if (depth > DEPTH_MAX) throw new MalformedProtobuf(`graphs nested deeper than ${DEPTH_MAX}`);
  for (const field of fieldsOf(graph)) {
    if (field.number === GRAPH.node) scanNode(field.bytes, scan, depth);
    else if (field.number === GRAPH.initializer) scanTensor(field.bytes, scan);
    else if (field.number === GRAPH.sparseInitializer) scanSparseTensor(field.bytes, scan);
  }
}

function scanFunction(definition: Uint8Array, scan: Scan): void {
  for (const field of fieldsOf(definition)) if (field.number === FUNCTION.node) scanNode(field.bytes, scan, 0);
}

function scanNode(node: Uint8Array, scan: Scan, depth: number): void {
  scan.nodes += 1;
  let domain = '';
  let opType = '';
  for (const field of fieldsOf(node)) {
    if (field.number === NODE.opType) opType = text(field.bytes);
    else if (field.number === NODE.domain) domain = text(field.bytes);
    else if (field.number === NODE.attribute) scanAttribute(field.bytes, scan, depth);
  }
  if (!OPERATOR_DOMAINS.has(domain))
    scan.faults.add(`operator ${opType.slice(0, 80)} comes from the foreign domain ${JSON.stringify(domain.slice(0, 80))}`);
}

function scanAttribute(attribute: Uint8Array, scan: Scan, depth: number): void {
  for (const { number, bytes } of fieldsOf(attribute)) {
    if (number === ATTRIBUTE.tensor || number === ATTRIBUTE.tensors) scanTensor(bytes, scan);
    else if (number === ATTRIBUTE.sparseTensor || number === ATTRIBUTE.sparseTensors) scanSparseTensor(bytes, scan);
    else if (number === ATTRIBUTE.graph || number === ATTRIBUTE.graphs) scanGraph(bytes, scan, depth + 1);
  }
}

/** SparseTensorProto: values = 1 and indices = 2, both tensors. */
function scanSparseTensor(sparse: Uint8Array, scan: Scan): void {
  for (const { number, bytes } of fieldsOf(sparse)) if (number === 1 || number === 2) scanTensor(bytes, scan);
}

function scanTensor(tensor: Uint8Array, scan: Scan): void {
  for (const { number, value } of fieldsOf(tensor)) {
    if (number === TENSOR.externalData || (number === TENSOR.dataLocation && value !== 0))
      scan.faults.add('it keeps weights outside of the file (external data)');
  }
}

function tensorName(tensor: Uint8Array): string {
  for (const { number, bytes } of fieldsOf(tensor)) if (number === TENSOR.name) return text(bytes);
  return '';
}

/** ValueInfoProto: name = 1, type = 2; TypeProto: tensor_type = 1 {elem_type = 1, shape = 2 {dim = 1 {dim_value = 1}}}. */
function valueInfo(bytes: Uint8Array): OnnxTensor {
  let name = '';
  let elementType = 0;
  const shape: (number | null)[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) name = text(field.bytes);
    if (field.number !== 2) continue;
    for (const type of fieldsOf(field.bytes)) {
      if (type.number !== 1) continue;
      for (const part of fieldsOf(type.bytes)) {
        if (part.number === 1) elementType = part.value;
        if (part.number === 2) for (const dim of fieldsOf(part.bytes)) if (dim.number === 1) shape.push(dimension(dim.bytes));
      }
    }
  }
  return { name, elementType, shape };
}

function dimension(bytes: Uint8Array): number | null {
  for (const { number, value, lengthDelimited } of fieldsOf(bytes)) if (number === 1 && !lengthDelimited) return value;
  return null;
}
