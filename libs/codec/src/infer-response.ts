import { addTo, readInferTensor, writeInferTensor, writeText, type InferTensor } from './infer-tensor.js';
import { readInferParameter, writeInferParameter, type InferParameter } from './infer-parameter.js';
import { DELIMITED, ProtoReader } from './reader.js';
import type { ProtoWriter } from './writer.js';

/** inference.ModelInferResponse; `raw` is written from where it lies, and read into memory of its own. */
export interface InferResponse {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly id: string;
  readonly parameters: readonly InferParameter[];
  readonly outputs: readonly InferTensor[];
  /** One for each output, in place of their contents. */
  readonly raw: readonly Uint8Array[];
}

/**
 * inference.ModelInferResponse on the wire, in the order that we write:
 *
 *   response = 0x0a model_name:string 0x12 model_version:string 0x1a id:string { 0x22 parameter:entry } { 0x2a output:tensor } { 0x32 raw:bytes }
 */
export function encodeInferResponse(response: InferResponse, writer: ProtoWriter): void {
  writeText(writer, 1, response.modelName);
  writeText(writer, 2, response.modelVersion);
  writeText(writer, 3, response.id);
  for (const parameter of response.parameters) writeInferParameter(writer, 4, parameter);
  for (const output of response.outputs) writeInferTensor(writer, 5, output);
  for (const raw of response.raw) {
    writer.tag(6, DELIMITED);
    writer.delimited(raw);
  }
}

/** @throws AppError REQUEST_INVALID on malformed bytes. */
export function decodeInferResponse(bytes: Uint8Array, start = 0, end = bytes.length): InferResponse {
  const reader = new ProtoReader(bytes, start, end);
  const response = {
    modelName: '',
    modelVersion: '',
    id: '',
    parameters: [] as InferParameter[],
    outputs: [] as InferTensor[],
    raw: [] as Uint8Array[],
  };
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case (1 << 3) | DELIMITED:
        response.modelName = reader.string();
        break;
      case (2 << 3) | DELIMITED:
        response.modelVersion = reader.string();
        break;
      case (3 << 3) | DELIMITED:
        response.id = reader.string();
        break;
      case (4 << 3) | DELIMITED:
        addTo(response.parameters, readInferParameter(reader));
        break;
      case (5 << 3) | DELIMITED:
        response.outputs.push(readInferTensor(reader));
        break;
      case (6 << 3) | DELIMITED:
        response.raw.push(reader.copy());
        break;
      default:
        reader.skip(tag);
    }
  }
  return response;
}
