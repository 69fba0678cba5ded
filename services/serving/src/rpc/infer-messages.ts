import { AppError } from '@headrace/base/errors';
import { parameterOf, type InferParameter } from '@headrace/codec/infer-parameter';
import type { InferRequest } from '@headrace/codec/infer-request';
import type { InferResponse } from '@headrace/codec/infer-response';
import { versionNumber, type TensorAnswer, type TensorRequest } from '../domain/tensor-request.js';
import { fromContents, fromRaw, toContents, toRaw } from './tensor-bytes.js';

/** The header that names the tenant: the protocol has no place for it. */
export const PROJECT_HEADER = 'headrace-project';

/** Parameters that would change the answer if they were passed over. */
const REFUSED: Readonly<Record<string, string>> = {
  sequence_id: 'models here keep no state between requests',
  shared_memory_region: 'shared memory is not offered; send the elements',
  classification: 'the classification extension is not offered; ask for the output itself',
};

/** @throws AppError INPUT_INVALID, REQUEST_INVALID */
export function toTensorRequest(message: InferRequest, project: string, deadlineMs: number): TensorRequest {
  const { inputs, outputs, raw, parameters } = message;
  refuseParameters([parameters, ...inputs.map((input) => input.parameters), ...outputs.map((output) => output.parameters)]);
  if (raw.length > 0 && raw.length !== inputs.length)
    throw new AppError(
      'INPUT_INVALID',
      `the request has ${inputs.length} input(s) and ${raw.length} raw contents; there must be one for each input, or none`,
    );
  return {
    project,
    model: message.modelName,
    version: versionNumber(message.modelVersion),
    id: message.id,
    outputs: outputs.map((output) => output.name),
    deadlineMs: withTimeout(deadlineMs, parameterOf(parameters, 'timeout')?.value),
    inputs: inputs.map(({ name, datatype, shape, contents }, i) => {
      if (raw.length > 0 && contents)
        throw new AppError('INPUT_INVALID', `input ${JSON.stringify(name)} has both contents and raw contents; send one of them`);
      if (raw.length > 0) return { name, datatype, shape, ...fromRaw(name, datatype, raw[i]!) };
      return { name, datatype, shape, ...(contents ? fromContents(name, datatype, contents) : NO_ELEMENTS) };
    }),
  };
}

/** Elements come as they went in: raw, or typed. FP16 has no typed form, and takes all outputs of its answer with it. */
export function toInferResponse(answer: TensorAnswer, isRaw: boolean, extra: readonly InferParameter[] = []): InferResponse {
  const raw = isRaw || answer.outputs.some((output) => output.datatype === 'FP16');
  const { predictionId } = answer;
  return {
    modelName: answer.model,
    modelVersion: String(answer.version),
    id: answer.id,
    parameters: [...(predictionId ? [{ name: 'prediction_id', value: { kind: 'string', value: predictionId } } as const] : []), ...extra],
    outputs: answer.outputs.map((output) => ({
      name: output.name,
      datatype: output.datatype,
      shape: output.shape,
      parameters: [],
      contents: raw ? undefined : toContents(output),
    })),
    raw: raw ? answer.outputs.map(toRaw) : [],
  };
}

/** @throws AppError INPUT_INVALID */
export function refuseParameters(lists: readonly (readonly Pick<InferParameter, 'name'>[])[]): void {
  for (const { name } of lists.flat()) {
    const reason = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    if (reason) throw new AppError('INPUT_INVALID', `the parameter ${name} cannot be honoured: ${reason}`);
  }
}

/** `timeout` of the protocol: µs from now; the sooner of it and the transport's deadline counts. 0 = none. */
export function withTimeout(deadlineMs: number, timeoutMicros: unknown): number {
  if (timeoutMicros === undefined) return deadlineMs;
  const micros = typeof timeoutMicros === 'string' && timeoutMicros !== '' ? Number(timeoutMicros) : timeoutMicros;
  if ((typeof micros !== 'bigint' && typeof micros !== 'number') || !(Number(micros) >= 0))
    throw new AppError('INPUT_INVALID', 'the parameter timeout is no number of microseconds from 0');
  return Number(micros) === 0 ? deadlineMs : Math.min(deadlineMs, Date.now() + Number(micros) / 1000);
}

const NO_ELEMENTS = { bytes: new Uint8Array(0), texts: [] } as const;

/** Of a load over either door: anything but the version would change the model under its version. @throws AppError REQUEST_INVALID */
export function refuseRepositoryParameters(names: readonly string[]): void {
  const foreign = names.filter((name) => name !== 'version');
  if (foreign.length > 0)
    throw new AppError(
      'REQUEST_INVALID',
      `a load takes the parameter version, not ${foreign.join(', ')}: configuration and files of a model come from the registry`,
    );
}
