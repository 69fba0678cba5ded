import { readInferContents, writeInferContents, type InferContents } from './infer-contents.js';
import { readInferParameter, writeInferParameter, type InferParameter } from './infer-parameter.js';
import { DELIMITED, VARINT, type ProtoReader } from './reader.js';
import type { ProtoWriter } from './writer.js';

/** An input of a request or an output of an answer: both messages have the same fields. */
export interface InferTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly parameters: readonly InferParameter[];
  /** Absent when the elements stand among the raw contents. */
  readonly contents: InferContents | undefined;
}

/**
 *   tensor = { 0x0a name:string | 0x12 datatype:string | 0x1a shape:packed-varint | 0x18 shape:varint
 *            | 0x22 parameter:entry | 0x2a contents }
 */
export function readInferTensor(reader: ProtoReader): InferTensor {
  let name = '';
  let datatype = '';
  const shape: number[] = [];
  const parameters: InferParameter[] = [];
  let contents: InferContents | undefined;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    switch (tag) {
      case (1 << 3) | DELIMITED:
        name = reader.string();
        break;
      case (2 << 3) | DELIMITED:
        datatype = reader.string();
        break;
      case (3 << 3) | DELIMITED: {
        const list = reader.enter();
        while (reader.pos < reader.end) shape.push(reader.int64Number());
        reader.leave(list);
        break;
      }
      case (3 << 3) | VARINT:
        shape.push(reader.int64Number());
        break;
      case (4 << 3) | DELIMITED:
        addTo(parameters, readInferParameter(reader));
        break;
      case (5 << 3) | DELIMITED:
        contents = readInferContents(reader);
        break;
      default:
        reader.skip(tag);
    }
  }
  reader.leave(outer);
  return { name, datatype, shape, parameters, contents };
}

export function writeInferTensor(writer: ProtoWriter, field: number, tensor: InferTensor): void {
  writer.tag(field, DELIMITED);
  const mark = writer.begin(64);
  writeText(writer, 1, tensor.name);
  writeText(writer, 2, tensor.datatype);
  if (tensor.shape.length > 0) {
    writer.tag(3, DELIMITED);
    const list = writer.begin(tensor.shape.length);
    for (const size of tensor.shape) writer.int64(size);
    writer.end(list);
  }
  for (const parameter of tensor.parameters) writeInferParameter(writer, 4, parameter);
  if (tensor.contents) writeInferContents(writer, 5, tensor.contents);
  writer.end(mark);
}

export function writeText(writer: ProtoWriter, field: number, value: string): void {
  if (value === '') return;
  writer.tag(field, DELIMITED);
  writer.string(value);
}

/** The last of two entries of one name wins, as in every map of protobuf. */
export function addTo(parameters: InferParameter[], parameter: InferParameter | undefined): void {
  if (!parameter) return;
  const at = parameters.findIndex((one) => one.name === parameter.name);
  if (at < 0) parameters.push(parameter);
  else parameters[at] = parameter;
}
