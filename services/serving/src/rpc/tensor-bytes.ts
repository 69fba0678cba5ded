import { AppError } from '@headrace/base/errors';
import { NO_CONTENTS, type InferContents } from '@headrace/codec/infer-contents';
import { checkUtf8Text } from '@headrace/codec/utf8';
import type { Datatype, Tensor } from '@headrace/executor/tensor';

/** Elements of a tensor as the inside wants them: bytes, or texts where the datatype is BYTES. */
export interface Elements {
  readonly bytes: Uint8Array;
  readonly texts: readonly string[];
}

const NO_BYTES = new Uint8Array(0);

/** The list of typed contents that belongs to a datatype. FP16 has none. */
const LISTS: Readonly<Record<Exclude<Datatype, 'FP16'>, keyof InferContents>> = {
  BOOL: 'bools',
  INT8: 'ints',
  INT16: 'ints',
  INT32: 'ints',
  INT64: 'int64s',
  UINT8: 'uints',
  UINT16: 'uints',
  UINT32: 'uints',
  UINT64: 'uint64s',
  FP32: 'floats',
  FP64: 'doubles',
  BYTES: 'bytes',
};

/** Small integers travel as int32 and uint32. */
const NARROW = { INT8: Int8Array, INT16: Int16Array, UINT8: Uint8Array, UINT16: Uint16Array } as const;

/** @throws AppError INPUT_INVALID when elements stand in the list of another datatype, or do not fit theirs. */
export function fromContents(name: string, datatype: string, contents: InferContents): Elements {
  const own = Object.hasOwn(LISTS, datatype) ? LISTS[datatype as keyof typeof LISTS] : undefined;
  const foreign = (Object.keys(NO_CONTENTS) as (keyof InferContents)[]).find((list) => list !== own && contents[list].length > 0);
  if (foreign)
    throw new AppError(
      'INPUT_INVALID',
      `input ${JSON.stringify(name)} is ${datatype}, and its contents hold ${foreign}` +
        (own ? `; they belong into ${own}` : '; this datatype goes as raw contents only'),
    );
  if (own === undefined) return { bytes: NO_BYTES, texts: [] };
  if (own === 'bytes') return { bytes: NO_BYTES, texts: contents.bytes.map((element, i) => textOf(element, 0, element.length, name, i)) };
  const list = contents[own];
  const narrow = Object.hasOwn(NARROW, datatype) ? NARROW[datatype as keyof typeof NARROW] : undefined;
  if (!narrow) return { bytes: bytesOf(list), texts: [] };
  const values = narrow.from(list as Int32Array | Uint32Array);
  const wrong = values.findIndex((value, i) => value !== list[i]);
  if (wrong >= 0)
    throw new AppError('INPUT_INVALID', `input ${JSON.stringify(name)}: element ${wrong} is ${list[wrong]!}, which is no ${datatype}`);
  return { bytes: bytesOf(values), texts: [] };
}

/** @throws AppError INPUT_INVALID on texts whose lengths do not add up, or that are no UTF-8: a text of ONNX is text. */
export function fromRaw(name: string, datatype: string, raw: Uint8Array): Elements {
  if (datatype !== 'BYTES') return { bytes: raw, texts: [] };
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const texts: string[] = [];
  for (let at = 0; at < raw.length;) {
    const length = at + 4 <= raw.length ? view.getUint32(at, true) : Infinity;
    const start = at + 4;
    if (length > raw.length - start)
      throw new AppError(
        'INPUT_INVALID',
        `input ${JSON.stringify(name)}: element ${texts.length} of its BYTES reaches beyond the end; each element stands behind its length in 4 bytes`,
      );
    texts.push(textOf(raw, start, start + length, name, texts.length));
    at = start + length;
  }
  return { bytes: NO_BYTES, texts };
}

/** The other way round: the elements of an answer as raw contents. */
export function toRaw(tensor: Tensor): Uint8Array {
  if (tensor.datatype !== 'BYTES') return tensor.bytes;
  const elements = tensor.texts.map((text) => Buffer.from(text, 'utf8'));
  const raw = Buffer.alloc(elements.reduce((sum, element) => sum + 4 + element.length, 0));
  let at = 0;
  for (const element of elements) {
    raw.writeUInt32LE(element.length, at);
    raw.set(element, at + 4);
    at += 4 + element.length;
  }
  return raw;
}

/** The elements of an answer as typed contents; not for FP16, which has no list. */
export function toContents({ datatype, bytes, texts }: Tensor): InferContents {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (datatype) {
    case 'BOOL':
      return { ...NO_CONTENTS, bools: bytes };
    case 'INT8':
      return { ...NO_CONTENTS, ints: Int32Array.from(new Int8Array(buffer, byteOffset, byteLength)) };
    case 'INT16':
      return { ...NO_CONTENTS, ints: Int32Array.from(new Int16Array(buffer, byteOffset, byteLength / 2)) };
    case 'INT32':
      return { ...NO_CONTENTS, ints: new Int32Array(buffer, byteOffset, byteLength / 4) };
    case 'INT64':
      return { ...NO_CONTENTS, int64s: new BigInt64Array(buffer, byteOffset, byteLength / 8) };
    case 'UINT8':
      return { ...NO_CONTENTS, uints: Uint32Array.from(bytes) };
    case 'UINT16':
      return { ...NO_CONTENTS, uints: Uint32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2)) };
    case 'UINT32':
      return { ...NO_CONTENTS, uints: new Uint32Array(buffer, byteOffset, byteLength / 4) };
    case 'UINT64':
      return { ...NO_CONTENTS, uint64s: new BigUint64Array(buffer, byteOffset, byteLength / 8) };
    case 'FP32':
      return { ...NO_CONTENTS, floats: new Float32Array(buffer, byteOffset, byteLength / 4) };
    case 'FP64':
      return { ...NO_CONTENTS, doubles: new Float64Array(buffer, byteOffset, byteLength / 8) };
    case 'BYTES':
      return { ...NO_CONTENTS, bytes: texts.map((text) => Buffer.from(text, 'utf8')) };
    case 'FP16':
      throw new Error('FP16 has no typed contents');
  }
}

function bytesOf(list: ArrayBufferView): Uint8Array {
  return new Uint8Array(list.buffer as ArrayBuffer, list.byteOffset, list.byteLength);
}

function textOf(bytes: Uint8Array, start: number, end: number, name: string, element: number): string {
  const text = checkUtf8Text(bytes, start, end);
  if (text === undefined)
    throw new AppError('INPUT_INVALID', `input ${JSON.stringify(name)}: element ${element} is not UTF-8; texts of ONNX models are`);
  return text;
}
