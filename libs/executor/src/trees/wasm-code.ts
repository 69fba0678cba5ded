/** The few instructions of WebAssembly that the tree walk needs, as bytes (core specification 2.0, chapter 5). */
export type Code = readonly number[];

export const I32 = 0x7f;
export const F32 = 0x7d;

export const get = (local: number): Code => [0x20, ...unsigned(local)];
export const set = (local: number): Code => [0x21, ...unsigned(local)];
export const tee = (local: number): Code => [0x22, ...unsigned(local)];
export const constant = (value: number): Code => [0x41, ...signed(value)];
/** Loads and stores: the address on the stack plus a fixed offset. The alignment is a hint, so 0 everywhere. */
export const loadI32 = (offset: number): Code => [0x28, 0, ...unsigned(offset)];
export const loadU16 = (offset: number): Code => [0x2f, 0, ...unsigned(offset)];
export const loadF32 = (offset: number): Code => [0x2a, 0, ...unsigned(offset)];
export const storeF32 = (offset: number): Code => [0x38, 0, ...unsigned(offset)];
export const ADD: Code = [0x6a];
export const AND: Code = [0x71];
export const OR: Code = [0x72];
export const SHIFT_LEFT: Code = [0x74];
export const IS_ZERO: Code = [0x45];
export const LESS: Code = [0x49];
export const ADD_F32: Code = [0x92];
export const UNEQUAL_F32: Code = [0x5c];
export const COMPARE_F32 = { less: [0x5d], greater: [0x5e], lessOrEqual: [0x5f], greaterOrEqual: [0x60] } as const satisfies Record<
  string,
  Code
>;

/** Runs the body, and again as long as it leaves a number other than 0. */
export const repeatWhile = (...body: readonly Code[]): Code => [0x03, 0x40, ...body.flat(), 0x0d, 0, 0x0b];
/** Runs the body if the number on the stack is not 0. */
export const ifTrue = (...body: readonly Code[]): Code => [0x04, 0x40, ...body.flat(), 0x0b];

export interface WasmFunction {
  readonly name: string;
  /** Types of its locals, in order. It takes and gives nothing. */
  readonly locals: Code;
  readonly body: Code;
}

/** A module over the memory `env.memory` that exports the functions. */
export function wasmModule(functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const text = (value: string): Code => vector([...Buffer.from(value)].map((byte) => [byte]));
  const bodyOf = ({ locals, body }: WasmFunction): Code => sized([...vector(locals.map((type) => [1, type])), ...body, 0x0b]);
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector([[0x60, 0, 0]])),
    ...section(2, vector([[...text('env'), ...text('memory'), 2, 0, 1]])),
    ...section(3, vector(functions.map(() => [0]))),
    ...section(7, vector(functions.map(({ name }, i) => [...text(name), 0, ...unsigned(i)]))),
    ...section(10, vector(functions.map(bodyOf))),
  ]);
}

const section = (id: number, content: Code): Code => [id, ...sized(content)];
const sized = (content: Code): Code => [...unsigned(content.length), ...content];
const vector = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()];

/** LEB128. */
function unsigned(value: number): Code {
  const bytes: number[] = [];
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}

function signed(value: number): Code {
  const bytes: number[] = [];
  for (; value < -64 || value > 63; value >>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value & 0x7f];
}
