import { AppError } from '@headrace/base/errors';
import { DATATYPES, elementCount, isDatatype, type Tensor, type TensorInfo } from '@headrace/executor/tensor';

/** An input as a caller sent it: elements as bytes or as texts, nothing checked against the model yet. */
export interface GivenTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  readonly texts: readonly string[];
}

/** A request for tensors, whichever door it came by. */
export interface TensorRequest {
  readonly project: string;
  readonly model: string;
  /** 0 = the champion. */
  readonly version: number;
  /** The caller's; comes back with the answer. */
  readonly id: string;
  readonly inputs: readonly GivenTensor[];
  /** Empty = all. */
  readonly outputs: readonly string[];
  /** ms since the epoch; Infinity = none. */
  readonly deadlineMs: number;
}

export interface TensorAnswer {
  readonly id: string;
  readonly model: string;
  readonly version: number;
  /** '' for a model that Predict cannot answer by: nothing of it is in the prediction log. */
  readonly predictionId: string;
  readonly outputs: readonly Tensor[];
}

/** Sizes whose product a double cannot hold exactly are no shape. */
const ELEMENTS_MAX = Number.MAX_SAFE_INTEGER;
/** Names in a message; a model with more is no help to read. */
const NAMES_SHOWN = 20;

/** The version that a text of the protocol names; '' = the champion. @throws AppError REQUEST_INVALID */
export function versionNumber(text: string): number {
  if (text === '') return 0;
  const version = /^[0-9]{1,10}$/.test(text) ? Number(text) : 0;
  if (version < 1 || version > 0xffff_ffff)
    throw new AppError('REQUEST_INVALID', `the version ${JSON.stringify(text)} is no number from 1; leave it empty for the champion`);
  return version;
}

/** The inputs in the order of the graph, each proven to fit. @throws AppError INPUT_INVALID naming the input and both sides. */
export function fitInputs(given: readonly GivenTensor[], infos: readonly TensorInfo[], name: string): Tensor[] {
  for (const [at, input] of given.entries()) {
    if (!infos.some((info) => info.name === input.name)) throw invalid(`${name} has no input ${show(input.name)}; it takes ${list(infos)}`);
    if (given.findIndex((other) => other.name === input.name) !== at) throw invalid(`the request has the input ${show(input.name)} twice`);
  }
  return infos.map((info) => {
    const input = given.find((one) => one.name === info.name);
    if (!input) throw invalid(`${name} needs the input ${show(info.name)}, ${describe(info)}`);
    return fit(input, info, name);
  });
}

/** The names of the outputs to answer, in the order asked for. @throws AppError INPUT_INVALID */
export function fitOutputs(asked: readonly string[], infos: readonly TensorInfo[], name: string): readonly string[] {
  if (asked.length === 0) return infos.map((info) => info.name);
  for (const [at, output] of asked.entries()) {
    if (!infos.some((info) => info.name === output)) throw invalid(`${name} has no output ${show(output)}; it gives ${list(infos)}`);
    if (asked.indexOf(output) !== at) throw invalid(`the request asks for the output ${show(output)} twice`);
  }
  return asked;
}

function fit(input: GivenTensor, info: TensorInfo, name: string): Tensor {
  const { datatype, shape, bytes, texts } = input;
  if (datatype !== info.datatype) {
    const hint = isDatatype(datatype) ? '' : `, which is no datatype here; there are ${Object.keys(DATATYPES).join(', ')}`;
    throw invalid(`input ${show(info.name)} of ${name} is ${info.datatype}; it was sent as ${show(datatype)}${hint}`);
  }
  const isNear = shape.length === info.shape.length && shape.every((size, i) => size >= 0 && [-1, size].includes(info.shape[i]!));
  if (!isNear)
    throw invalid(
      `input ${show(info.name)} of ${name} is ${describe(info)}; the shape sent is [${shape.join(',')}] (-1 stands for any size)`,
    );
  const count = elementCount(shape);
  if (count > ELEMENTS_MAX) throw invalid(`input ${show(info.name)}: the shape [${shape.join(',')}] is larger than any memory`);
  const size = DATATYPES[info.datatype].bytes;
  const sent = size === 0 ? texts.length : bytes.length / size;
  if (sent !== count)
    throw invalid(
      `input ${show(info.name)}: the shape [${shape.join(',')}] has ${count} element(s) of ${info.datatype}` +
        (size === 0 ? `, ${sent} were sent` : `, which are ${count * size} bytes; ${bytes.length} were sent`),
    );
  if (info.datatype === 'BOOL') {
    const wrong = bytes.findIndex((value) => value > 1);
    if (wrong >= 0) throw invalid(`input ${show(info.name)}: element ${wrong} is ${bytes[wrong]!}; a BOOL is 0 or 1`);
  }
  // The runtime takes a text to its first NUL, and would answer for a text that nobody sent.
  const cut = texts.findIndex((text) => text.includes('\0'));
  if (cut >= 0) throw invalid(`input ${show(info.name)}: element ${cut} holds a NUL, which texts of ONNX Runtime cannot`);
  return { name: info.name, datatype: info.datatype, shape, bytes, texts };
}

const invalid = (message: string): AppError => new AppError('INPUT_INVALID', message);
const show = (text: string): string => JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
const describe = (info: TensorInfo): string => `${info.datatype}[${info.shape.join(',')}]`;

function list(infos: readonly TensorInfo[]): string {
  const shown = infos.slice(0, NAMES_SHOWN).map((info) => `${info.name} ${describe(info)}`);
  return shown.join(', ') + (infos.length > NAMES_SHOWN ? ` and ${infos.length - NAMES_SHOWN} more` : '');
}
