import { AppError } from '@headrace/base/errors';
import { z } from 'zod';
import { versionNumber, type TensorAnswer, type TensorRequest } from '../domain/tensor-request.js';
import { refuseParameters, withTimeout } from './infer-messages.js';
import { fromRaw, toRaw } from './tensor-bytes.js';
import { fromJson, parseJson, toJson } from './tensor-json.js';

const parameters = z.record(z.string(), z.unknown()).default({});
const body = z.object({
  id: z.string().default(''),
  parameters,
  inputs: z.array(
    z.object({
      name: z.string(),
      datatype: z.string(),
      shape: z.array(z.int()),
      parameters,
      data: z.unknown().optional(),
    }),
  ),
  outputs: z.array(z.object({ name: z.string(), parameters })).default([]),
});

export interface HttpInference {
  readonly request: TensorRequest;
  /** Whether an output goes as bytes behind the JSON. */
  isBinary(output: string): boolean;
}

export interface HttpInferenceTarget {
  readonly project: string;
  readonly model: string;
  /** '' = the champion. */
  readonly version: string;
  readonly deadlineMs: number;
}

/**
 * A request of the REST door: JSON, and behind its first `headerLength` bytes the elements of the inputs that say `binary_data_size`, in their order.
 * @param headerLength undefined = all of it is JSON. @throws AppError REQUEST_INVALID, INPUT_INVALID
 */
export function readInference(bytes: Buffer, headerLength: number | undefined, target: HttpInferenceTarget): HttpInference {
  const jsonEnd = headerLength ?? bytes.length;
  if (jsonEnd > bytes.length)
    throw new AppError('REQUEST_INVALID', `Inference-Header-Content-Length is ${jsonEnd}, and the body has ${bytes.length} bytes`);
  const json = parseBody(bytes.toString('utf8', 0, jsonEnd));
  refuseParameters([json.parameters, ...json.inputs.map((i) => i.parameters), ...json.outputs.map((o) => o.parameters)].map(toList));
  let at = jsonEnd;
  const inputs = json.inputs.map(({ name, datatype, shape, data, parameters }) => {
    const size = parameters['binary_data_size'];
    if (size === undefined) return { name, datatype, shape, ...fromJson(name, datatype, data) };
    if (data !== undefined)
      throw new AppError('INPUT_INVALID', `input ${JSON.stringify(name)} has both data and binary_data_size; send one of them`);
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0 || size > bytes.length - at)
      throw new AppError(
        'INPUT_INVALID',
        `input ${JSON.stringify(name)}: binary_data_size is ${typeof size === 'number' ? size : 'no number'}, and ${bytes.length - at} bytes are left behind the JSON and the inputs before it`,
      );
    // A copy: elements must begin where a typed array may, and outlive the body.
    const raw = Uint8Array.prototype.slice.call(bytes, at, at + size);
    at += size;
    return { name, datatype, shape, ...fromRaw(name, datatype, raw) };
  });
  if (at !== bytes.length)
    throw new AppError('REQUEST_INVALID', `${bytes.length - at} bytes stand behind the JSON that no input claims by binary_data_size`);
  const binary = new Map(json.outputs.map(({ name, parameters }) => [name, parameters['binary_data'] === true]));
  const isBinaryByDefault = json.parameters['binary_data_output'] === true;
  const named = new Set(json.outputs.filter(({ parameters }) => parameters['binary_data'] !== undefined).map(({ name }) => name));
  return {
    request: {
      project: target.project,
      model: target.model,
      version: versionNumber(target.version),
      id: json.id,
      inputs,
      outputs: json.outputs.map(({ name }) => name),
      deadlineMs: withTimeout(target.deadlineMs, json.parameters['timeout']),
    },
    isBinary: (output) => (named.has(output) ? binary.get(output)! : isBinaryByDefault),
  };
}

export interface HttpAnswer {
  readonly body: Buffer;
  /** Bytes of JSON before the elements; undefined = all of it is JSON. */
  readonly headerLength: number | undefined;
}

/** @throws AppError INPUT_INVALID when JSON cannot say an element. */
export function writeInference(answer: TensorAnswer, isBinary: HttpInference['isBinary']): HttpAnswer {
  const blobs: Uint8Array[] = [];
  const outputs = answer.outputs.map((output) => {
    const { name, datatype, shape } = output;
    const head = `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(',')}]`;
    if (!isBinary(name)) return `${head},"data":${toJson(output)}}`;
    const raw = toRaw(output);
    blobs.push(raw);
    return `${head},"parameters":{"binary_data_size":${raw.length}}}`;
  });
  const { model, version, id, predictionId } = answer;
  const json =
    `{"model_name":${JSON.stringify(model)},"model_version":"${version}",` +
    (id === '' ? '' : `"id":${JSON.stringify(id)},`) +
    (predictionId === '' ? '' : `"parameters":{"prediction_id":${JSON.stringify(predictionId)}},`) +
    `"outputs":[${outputs.join(',')}]}`;
  const header = Buffer.from(json);
  return { body: Buffer.concat([header, ...blobs]), headerLength: blobs.length > 0 ? header.length : undefined };
}

function parseBody(text: string): z.output<typeof body> {
  let json: unknown;
  try {
    json = parseJson(text);
  } catch (error) {
    throw new AppError('REQUEST_INVALID', `the body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const parsed = body.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(top level)'}: ${issue.message}`);
  throw new AppError('REQUEST_INVALID', `the body is no inference request: ${issues.join('; ')}`);
}

const toList = (of: Record<string, unknown>): { name: string }[] => Object.keys(of).map((name) => ({ name }));
