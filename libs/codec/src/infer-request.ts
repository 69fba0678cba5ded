import { addTo, readInferTensor, writeInferTensor, writeText, type InferTensor } from './infer-tensor.js';
import { readInferParameter, writeInferParameter, type InferParameter } from './infer-parameter.js';
import { DELIMITED, ProtoReader } from './reader.js';
import type { ProtoWriter } from './writer.js';

/** inference.ModelInferRequest, read whole: nothing in it points into the bytes that it was read from. */
export interface InferRequest {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  readonly parameters: readonly InferParameter[];
  readonly inputs: readonly InferTensor[];
  /** Empty = all outputs. */
  readonly outputs: readonly RequestedOutput[];
  /** One for each input, in place of their contents; each in memory of its own, so that any element type may be laid over it. */
  readonly raw: readonly Uint8Array[];
}

export interface RequestedOutput {
  readonly name: string;
  readonly parameters: readonly InferParameter[];
}

/**
 * inference.ModelInferRequest on the wire:
 *
 *   request = { 0x0a model_name:string | 0x12 model_version:string | 0x1a id:string | 0x22 parameter:entry
 *             | 0x2a input:tensor | 0x32 output:{ 0x0a name:string | 0x12 parameter:entry } | 0x3a raw:bytes | unknown }
 *
 * @throws AppError REQUEST_INVALID on malformed bytes.
 */
export function decodeInferRequest(bytes: Uint8Array, start = 0, end = bytes.length): InferRequest {
  const reader = shared.reset(bytes, start, end);
  const request = {
    modelName: '',
    modelVersion: '',
    id: '',
    parameters: [] as InferParameter[],
    inputs: [] as InferTensor[],
    outputs: [] as RequestedOutput[],
    raw: [] as Uint8Array[],
  };
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case (1 << 3) | DELIMITED:
        request.modelName = reader.string();
        break;
      case (2 << 3) | DELIMITED:
        request.modelVersion = reader.string();
        break;
      case (3 << 3) | DELIMITED:
        request.id = reader.string();
        break;
      case (4 << 3) | DELIMITED:
        addTo(request.parameters, readInferParameter(reader));
        break;
      case (5 << 3) | DELIMITED:
        request.inputs.push(readInferTensor(reader));
        break;
      case (6 << 3) | DELIMITED:
        request.outputs.push(readOutput(reader));
        break;
      case (7 << 3) | DELIMITED:
        request.raw.push(reader.copy());
        break;
      default:
        reader.skip(tag);
    }
  }
  return request;
}

export function encodeInferRequest(request: InferRequest, writer: ProtoWriter): void {
  writeText(writer, 1, request.modelName);
  writeText(writer, 2, request.modelVersion);
  writeText(writer, 3, request.id);
  for (const parameter of request.parameters) writeInferParameter(writer, 4, parameter);
  for (const input of request.inputs) writeInferTensor(writer, 5, input);
  for (const { name, parameters } of request.outputs) {
    writer.tag(6, DELIMITED);
    const mark = writer.begin(name.length);
    writeText(writer, 1, name);
    for (const parameter of parameters) writeInferParameter(writer, 2, parameter);
    writer.end(mark);
  }
  for (const raw of request.raw) {
    writer.tag(7, DELIMITED);
    writer.delimited(raw);
  }
}

const shared = new ProtoReader();

function readOutput(reader: ProtoReader): RequestedOutput {
  let name = '';
  const parameters: InferParameter[] = [];
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | DELIMITED)) name = reader.string();
    else if (tag === ((2 << 3) | DELIMITED)) addTo(parameters, readInferParameter(reader));
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { name, parameters };
}
