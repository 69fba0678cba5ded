import { AppError } from '@headrace/base/errors';
import { DELIMITED, ProtoReader, VARINT } from '@headrace/codec/reader';

/**
 * Why an ONNX file may not be opened here; undefined = it may. The registry refuses the same at registration; serving looks
 * again, because a model loaded from bytes may read any file under the working directory as weights (measured), and what lies
 * in a cache folder may not have come from the registry. Field numbers are those of onnx.proto.
 */
export function refuseOnnx(bytes: Uint8Array): string | undefined {
  try {
    const reader = new ProtoReader(bytes);
    let graphs = 0;
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
      if (tag === MODEL_GRAPH) {
        graphs++;
        walk(reader, GRAPH);
      } else if (tag === MODEL_FUNCTION) walk(reader, FUNCTION);
      else if (tag === MODEL_TRAINING) return 'it carries a training graph';
      else reader.skip(tag);
    }
    return graphs === 1 ? undefined : `it holds ${graphs} graphs instead of one`;
  } catch (error) {
    if (error instanceof Refused) return error.message;
    if (error instanceof AppError) return `it is not an ONNX file (${error.message})`;
    throw error;
  }
}

class Refused extends Error {}

/** Which fields of a message lead on, and to what kind of message. */
interface Shape {
  readonly into: Readonly<Record<number, () => Shape>>;
  readonly check?: (reader: ProtoReader, tag: number) => boolean;
}

const DOMAINS = new Set(['', 'ai.onnx', 'ai.onnx.ml']);
const TENSOR_EXTERNAL_DATA = 13;
const TENSOR_DATA_LOCATION = 14;
const NODE_DOMAIN = 7;

const TENSOR: Shape = {
  into: {},
  check: (reader, tag) => {
    const isLocation = tag === ((TENSOR_DATA_LOCATION << 3) | VARINT);
    if (tag === ((TENSOR_EXTERNAL_DATA << 3) | DELIMITED) || (isLocation && reader.uint32() !== 0))
      throw new Refused('it keeps weights in external data');
    return isLocation;
  },
};
const SPARSE_TENSOR: Shape = { into: { 1: () => TENSOR, 2: () => TENSOR } };
const ATTRIBUTE: Shape = {
  into: { 5: () => TENSOR, 6: () => GRAPH, 10: () => TENSOR, 11: () => GRAPH, 22: () => SPARSE_TENSOR, 23: () => SPARSE_TENSOR },
};
const NODE: Shape = {
  into: { 5: () => ATTRIBUTE },
  check: (reader, tag) => {
    if (tag !== ((NODE_DOMAIN << 3) | DELIMITED)) return false;
    const domain = reader.string();
    if (!DOMAINS.has(domain)) throw new Refused(`it uses operators of the foreign domain ${JSON.stringify(domain)}`);
    return true;
  },
};
const GRAPH: Shape = { into: { 1: () => NODE, 5: () => TENSOR, 15: () => SPARSE_TENSOR } };
const FUNCTION: Shape = { into: { 7: () => NODE } };
const MODEL_GRAPH = (7 << 3) | DELIMITED;
const MODEL_TRAINING = (20 << 3) | DELIMITED;
const MODEL_FUNCTION = (25 << 3) | DELIMITED;

/** Depth is bounded by the reader (100). */
function walk(reader: ProtoReader, shape: Shape): void {
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    const into = (tag & 7) === DELIMITED ? shape.into[tag >>> 3] : undefined;
    if (into) walk(reader, into());
    else if (!shape.check?.(reader, tag)) reader.skip(tag);
  }
  reader.leave(outer);
}
