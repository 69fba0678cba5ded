import { AppError } from '@headrace/base/errors';
import { isDatatype, type Datatype, type Tensor } from '@headrace/executor/tensor';
import type { Elements } from './tensor-bytes.js';

/** Half floats; in the runtime that we bring, and not yet in the compiler's library. */
const { Float16Array: Halves } = globalThis as unknown as { readonly Float16Array: NumberArrayConstructor };

interface NumberArrayConstructor {
  new (length: number): NumberArray;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): NumberArray;
}

type NumberArray = ArrayBufferView & { readonly length: number; [index: number]: number };

const INTEGERS = {
  INT8: { array: Int8Array, min: -(2 ** 7), max: 2 ** 7 - 1 },
  INT16: { array: Int16Array, min: -(2 ** 15), max: 2 ** 15 - 1 },
  INT32: { array: Int32Array, min: -(2 ** 31), max: 2 ** 31 - 1 },
  UINT8: { array: Uint8Array, min: 0, max: 2 ** 8 - 1 },
  UINT16: { array: Uint16Array, min: 0, max: 2 ** 16 - 1 },
  UINT32: { array: Uint32Array, min: 0, max: 2 ** 32 - 1 },
} as const;
const BIG_INTEGERS = {
  INT64: { array: BigInt64Array, min: -(2n ** 63n), max: 2n ** 63n - 1n },
  UINT64: { array: BigUint64Array, min: 0n, max: 2n ** 64n - 1n },
} as const;
const FLOATS = { FP16: Halves, FP32: Float32Array, FP64: Float64Array } as const;

const NO_BYTES = new Uint8Array(0);
/** Brackets inside brackets; no graph has more dimensions. */
const DEPTH_MAX = 64;

/**
 * `data` of an input: elements in row-major order, flat or nested as the shape is. null is NaN. Integers that a double cannot hold come as bigint
 * (`parseJson`). @throws AppError INPUT_INVALID naming the element
 */
export function fromJson(name: string, datatype: string, data: unknown): Elements {
  if (!isDatatype(datatype)) return { bytes: NO_BYTES, texts: [] };
  const flat: unknown[] = [];
  flatten(data, flat, name, 0);
  const wrong = (i: number): AppError =>
    new AppError(
      'INPUT_INVALID',
      `input ${JSON.stringify(name)}: element ${i} is ${String(JSON.stringify(printable(flat[i]))).slice(0, 100)}, which is no ${datatype}`,
    );
  if (datatype === 'BYTES')
    return {
      bytes: NO_BYTES,
      texts: flat.map((value, i) => {
        if (typeof value !== 'string') throw wrong(i);
        return value;
      }),
    };
  return { bytes: pack(datatype, flat, wrong), texts: [] };
}

/** The text of `data` in an answer. @throws AppError INPUT_INVALID for an infinity, which JSON cannot say. */
export function toJson({ name, datatype, bytes, texts }: Tensor): string {
  if (datatype === 'BYTES') return `[${texts.map((text) => JSON.stringify(text)).join(',')}]`;
  const { buffer, byteOffset, byteLength } = bytes;
  if (datatype === 'BOOL') return `[${Array.from(bytes, (value) => value !== 0).join(',')}]`;
  if (datatype === 'INT64' || datatype === 'UINT64')
    return `[${new BIG_INTEGERS[datatype].array(buffer as ArrayBuffer, byteOffset, byteLength / 8).join(',')}]`;
  if (datatype in INTEGERS) {
    const { array } = INTEGERS[datatype as keyof typeof INTEGERS];
    return `[${new array(buffer as ArrayBuffer, byteOffset, byteLength / array.BYTES_PER_ELEMENT).join(',')}]`;
  }
  const kind = datatype as keyof typeof FLOATS;
  const values = new FLOATS[kind](buffer as ArrayBuffer, byteOffset, byteLength / { FP16: 2, FP32: 4, FP64: 8 }[kind]) as NumberArray;
  return `[${Array.from(values, (value, i) => {
    if (Number.isNaN(value)) return 'null';
    if (Math.abs(value) === Infinity)
      throw new AppError('INPUT_INVALID', `output ${name}: element ${i} is infinite, which JSON cannot say; ask for it with binary_data`);
    return String(value);
  }).join(',')}]`;
}

/** JSON whose integers beyond 2^53 are bigints. The slow way is taken only when a text has so many digits in a row. */
export function parseJson(text: string): unknown {
  if (!/[0-9]{16}/.test(text)) return JSON.parse(text);
  return (JSON.parse as (text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown) => unknown)(
    text,
    (_key, value, { source }) =>
      typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined && /^-?[0-9]+$/.test(source)
        ? BigInt(source)
        : value,
  );
}

function flatten(data: unknown, into: unknown[], name: string, depth: number): void {
  if (!Array.isArray(data)) throw new AppError('INPUT_INVALID', `input ${JSON.stringify(name)}: \`data\` is no list`);
  if (depth > DEPTH_MAX) throw new AppError('INPUT_INVALID', `input ${JSON.stringify(name)}: \`data\` is nested deeper than ${DEPTH_MAX}`);
  for (const value of data) {
    if (Array.isArray(value)) flatten(value, into, name, depth + 1);
    else into.push(value);
  }
}

function pack(datatype: Exclude<Datatype, 'BYTES'>, flat: readonly unknown[], wrong: (i: number) => AppError): Uint8Array {
  switch (datatype) {
    case 'BOOL':
      return Uint8Array.from(flat, (value, i) => {
        if (value !== true && value !== false && value !== 0 && value !== 1) throw wrong(i);
        return Number(value);
      });
    case 'INT64':
    case 'UINT64': {
      const { array, min, max } = BIG_INTEGERS[datatype];
      const values = new array(flat.length);
      for (const [i, value] of flat.entries()) {
        if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) throw wrong(i);
        const big = BigInt(value as bigint | number);
        if (big < min || big > max) throw wrong(i);
        values[i] = big;
      }
      return bytesOf(values);
    }
    case 'FP16':
    case 'FP32':
    case 'FP64': {
      const values = new FLOATS[datatype](flat.length) as NumberArray;
      for (const [i, value] of flat.entries()) {
        if (value !== null && typeof value !== 'number' && typeof value !== 'bigint') throw wrong(i);
        values[i] = value === null ? Number.NaN : Number(value);
      }
      return bytesOf(values);
    }
    default: {
      const { array, min, max } = INTEGERS[datatype];
      const values = new array(flat.length);
      for (const [i, value] of flat.entries()) {
        if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) throw wrong(i);
        values[i] = value as number;
      }
      return bytesOf(values);
    }
  }
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
}

const printable = (value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);
