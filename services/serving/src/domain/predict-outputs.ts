import { AppError } from '@headrace/base/errors';
import { NO_OUTPUT, type OutputColumnData } from '@headrace/codec/predict-output';
import { scoresOutput } from '@headrace/executor/onnx-model';
import { joinRows, type Datatype, type Tensor, type TensorInfo } from '@headrace/executor/tensor';
import type { PredictJob } from './predict-job.js';
import { scoresOf, tensorsOf } from './tensor-form.js';
import { fitOutputs } from './tensor-request.js';

/** The list of OutputColumn that holds each element type; what has none is for the Open Inference Protocol. */
const LISTS: Readonly<Partial<Record<Datatype, (bytes: Uint8Array) => Partial<OutputColumnData>>>> = {
  FP32: ({ buffer, byteOffset, length }) => ({ floats: new Float32Array(buffer, byteOffset, length / 4) }),
  FP64: ({ buffer, byteOffset, length }) => ({ doubles: new Float64Array(buffer, byteOffset, length / 8) }),
  INT8: ({ buffer, byteOffset, length }) => ({ ints: new Int8Array(buffer, byteOffset, length) }),
  INT16: ({ buffer, byteOffset, length }) => ({ ints: new Int16Array(buffer, byteOffset, length / 2) }),
  INT32: ({ buffer, byteOffset, length }) => ({ ints: new Int32Array(buffer, byteOffset, length / 4) }),
  INT64: ({ buffer, byteOffset, length }) => ({ ints: new BigInt64Array(buffer, byteOffset, length / 8) }),
  UINT8: (bytes) => ({ ints: bytes }),
  UINT16: ({ buffer, byteOffset, length }) => ({ ints: new Uint16Array(buffer, byteOffset, length / 2) }),
  UINT32: ({ buffer, byteOffset, length }) => ({ ints: new Uint32Array(buffer, byteOffset, length / 4) }),
  BOOL: (bytes) => ({ ints: bytes }),
  BYTES: () => ({}),
};

/** @throws AppError INPUT_INVALID for an output that the graph has not, twice the same, or one that is nothing of a row. */
export function checkOutputs(asked: readonly string[], infos: readonly TensorInfo[], model: string): readonly string[] {
  for (const name of fitOutputs(asked, infos, model)) {
    const { datatype, shape } = infos.find((info) => info.name === name)!;
    if (shape[0] !== -1)
      throw new AppError('INPUT_INVALID', `output ${name} of ${model} is ${datatype}[${shape.join(',')}], which has no value for each row`);
    if (!LISTS[datatype])
      throw new AppError('INPUT_INVALID', `output ${name} of ${model} is ${datatype}; ask for it by the Open Inference Protocol`);
  }
  return asked;
}

/** Runs some rows of the job and keeps what they give. @returns their scores @throws AppError INPUT_INVALID */
export function runOutputs(job: PredictJob, rows: number): Float32Array | Promise<Float32Array> {
  const { tensors } = job.loaded.parts;
  const keep = (outputs: readonly Tensor[]): Float32Array => {
    for (const [i, { name, shape }] of outputs.entries()) {
      const before = job.slices[0]?.[i]?.shape ?? shape;
      if (shape[0] !== rows || shape.slice(1).join() !== before.slice(1).join())
        throw new AppError(
          'INPUT_INVALID',
          `output ${name} is [${shape.join(',')}] for ${rows} row(s); its rows cannot stand one behind the other`,
        );
    }
    job.slices.push(outputs);
    return scoresOf(outputs, rows);
  };
  const scores = scoresOutput(tensors.outputs)!.name;
  const names = job.outputs.includes(scores) ? job.outputs : [...job.outputs, scores];
  const answer = tensors.run(tensorsOf(tensors.inputs, job.block!, job.rowsDone, rows), names);
  return answer instanceof Promise ? answer.then(keep) : keep(answer);
}

/** What all runs of the job gave. */
export function outputColumns(job: PredictJob): OutputColumnData[] {
  return job.outputs.map((name, i) => {
    const { shape, datatype, bytes, texts } = joinRows(job.slices.map((slice) => slice[i]!));
    return { ...NO_OUTPUT, name, shape: shape.slice(1), ...LISTS[datatype]!(bytes), strings: texts };
  });
}
