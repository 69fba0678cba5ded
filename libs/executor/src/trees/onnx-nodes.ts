import { DELIMITED, FIXED32, ProtoReader, VARINT } from '@headrace/codec/reader';

/** Values of an attribute; which list is filled depends on its type. Single values are lists of one. */
export interface OnnxAttribute {
  readonly floats: readonly number[];
  readonly ints: readonly number[];
  readonly strings: readonly string[];
  /** It holds a tensor, a graph or another thing that is not read here. */
  readonly isOther: boolean;
}

export interface OnnxNode {
  readonly type: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
}

/** The nodes of a graph and what its constants say, as far as trees need it. */
export interface OnnxNodes {
  readonly nodes: readonly OnnxNode[];
  /** Constants of float32 by name. */
  readonly floats: ReadonlyMap<string, readonly number[]>;
}

/** @throws AppError for bytes that are no ONNX file. Field numbers are those of onnx.proto. */
export function readOnnxNodes(bytes: Uint8Array): OnnxNodes {
  const reader = new ProtoReader(bytes);
  const nodes: OnnxNode[] = [];
  const floats = new Map<string, readonly number[]>();
  eachField(reader, (tag) => {
    if (tag !== delimited(7)) return false;
    inside(reader, (tag) => {
      if (tag === delimited(1)) nodes.push(readNode(reader));
      else if (tag === delimited(5)) readConstant(reader, floats);
      else return false;
      return true;
    });
    return true;
  });
  return { nodes, floats };
}

function readNode(reader: ProtoReader): OnnxNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, OnnxAttribute>();
  let type = '';
  let domain = '';
  inside(reader, (tag) => {
    if (tag === delimited(1)) inputs.push(reader.string());
    else if (tag === delimited(2)) outputs.push(reader.string());
    else if (tag === delimited(4)) type = reader.string();
    else if (tag === delimited(5)) readAttribute(reader, attributes);
    else if (tag === delimited(7)) domain = reader.string();
    else return false;
    return true;
  });
  return { type, domain, inputs, outputs, attributes };
}

function readAttribute(reader: ProtoReader, into: Map<string, OnnxAttribute>): void {
  const floats: number[] = [];
  const ints: number[] = [];
  const strings: string[] = [];
  let name = '';
  let isOther = false;
  const float = (): unknown => floats.push(reader.float());
  const int = (): unknown => ints.push(reader.int64Number());
  inside(reader, (tag) => {
    if (tag === delimited(1)) name = reader.string();
    else if (tag === fixed32(2) || tag === fixed32(7)) float();
    else if (tag === varint(3) || tag === varint(8)) int();
    else if (tag === delimited(4) || tag === delimited(9)) strings.push(knownString(reader));
    else if (tag === delimited(7)) packed(reader, float);
    else if (tag === delimited(8)) packed(reader, int);
    else {
      // 13 is its documentation, 20 its type.
      isOther ||= tag >>> 3 !== 13 && tag >>> 3 !== 20;
      return false;
    }
    return true;
  });
  into.set(name, { floats, ints, strings, isOther });
}

/** A model says BRANCH_LEQ once for each of its nodes: a text like the last one of its length is not decoded again. */
function knownString(reader: ProtoReader): string {
  const start = reader.pos;
  const bytes = reader.view();
  const last = lastOfLength[bytes.length];
  if (last && last.bytes.every((byte, i) => byte === bytes[i])) return last.text;
  reader.pos = start;
  const text = reader.string();
  if (bytes.length < LAST_LENGTHS) lastOfLength[bytes.length] = { bytes: bytes.slice(), text };
  return text;
}

const LAST_LENGTHS = 16;
const lastOfLength: ({ readonly bytes: Uint8Array; readonly text: string } | undefined)[] = [];

const TENSOR_FLOAT = 1;

function readConstant(reader: ProtoReader, into: Map<string, readonly number[]>): void {
  const floats: number[] = [];
  let name = '';
  let type = 0;
  let raw: Uint8Array | undefined;
  inside(reader, (tag) => {
    if (tag === varint(2)) type = reader.int32();
    else if (tag === fixed32(4)) floats.push(reader.float());
    else if (tag === delimited(4)) packed(reader, () => floats.push(reader.float()));
    else if (tag === delimited(8)) name = reader.string();
    else if (tag === delimited(9)) raw = reader.copy();
    else return false;
    return true;
  });
  if (type === TENSOR_FLOAT) into.set(name, raw ? [...new Float32Array(raw.buffer, 0, raw.length >>> 2)] : floats);
}

/** @param read false = not read: the field is skipped. */
function eachField(reader: ProtoReader, read: (tag: number) => boolean): void {
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) if (!read(tag)) reader.skip(tag);
}

function inside(reader: ProtoReader, read: (tag: number) => boolean): void {
  const outer = reader.enter();
  eachField(reader, read);
  reader.leave(outer);
}

function packed(reader: ProtoReader, read: () => unknown): void {
  const length = reader.length();
  const end = reader.pos + length;
  while (reader.pos < end) read();
}

const delimited = (field: number): number => (field << 3) | DELIMITED;
const varint = (field: number): number => (field << 3) | VARINT;
const fixed32 = (field: number): number => (field << 3) | FIXED32;
