import { DELIMITED, FIXED64, VARINT, type ProtoReader } from './reader.js';
import type { ProtoWriter } from './writer.js';

/** One entry of a `map<string, InferParameter>`; a list of them, because nothing is keyed by what comes over the wire. */
export interface InferParameter {
  readonly name: string;
  readonly value: InferParameterValue;
}

export type InferParameterValue =
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'int64' | 'uint64'; readonly value: bigint }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'double'; readonly value: number };

/**
 *   entry = { 0x0a name:string | 0x12 parameter }
 *   parameter = { 0x08 bool | 0x10 int64 | 0x1a string | 0x21 double | 0x28 uint64 }    (the last one wins)
 *
 * @returns undefined for an entry without a value.
 */
export function readInferParameter(reader: ProtoReader): InferParameter | undefined {
  let name = '';
  let value: InferParameterValue | undefined;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | DELIMITED)) name = reader.string();
    else if (tag === ((2 << 3) | DELIMITED)) value = readValue(reader);
    else reader.skip(tag);
  }
  reader.leave(outer);
  return value && { name, value };
}

export function writeInferParameter(writer: ProtoWriter, field: number, { name, value }: InferParameter): void {
  writer.tag(field, DELIMITED);
  const entry = writer.begin(name.length + 16);
  if (name !== '') {
    writer.tag(1, DELIMITED);
    writer.string(name);
  }
  writer.tag(2, DELIMITED);
  const mark = writer.begin();
  writeValue(writer, value);
  writer.end(mark);
  writer.end(entry);
}

/** The value of the first parameter of that name. */
export function parameterOf(parameters: readonly InferParameter[], name: string): InferParameterValue | undefined {
  return parameters.find((parameter) => parameter.name === name)?.value;
}

function readValue(reader: ProtoReader): InferParameterValue | undefined {
  let value: InferParameterValue | undefined;
  const outer = reader.enter();
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    if (tag === ((1 << 3) | VARINT)) value = { kind: 'bool', value: reader.bool() };
    else if (tag === ((2 << 3) | VARINT)) value = { kind: 'int64', value: reader.int64() };
    else if (tag === ((3 << 3) | DELIMITED)) value = { kind: 'string', value: reader.string() };
    else if (tag === ((4 << 3) | FIXED64)) value = { kind: 'double', value: reader.double() };
    else if (tag === ((5 << 3) | VARINT)) value = { kind: 'uint64', value: reader.uint64() };
    else reader.skip(tag);
  }
  reader.leave(outer);
  return value;
}

function writeValue(writer: ProtoWriter, parameter: InferParameterValue): void {
  switch (parameter.kind) {
    case 'bool':
      writer.tag(1, VARINT);
      return writer.bool(parameter.value);
    case 'int64':
      writer.tag(2, VARINT);
      return writer.int64(parameter.value);
    case 'string':
      writer.tag(3, DELIMITED);
      return writer.string(parameter.value);
    case 'double':
      writer.tag(4, FIXED64);
      return writer.double(parameter.value);
    case 'uint64':
      writer.tag(5, VARINT);
      return writer.int64(parameter.value);
  }
}
