import { AppError } from '@headrace/base/errors';
import { FeatureBlock } from '@headrace/executor/feature-block';
import type { InputPlan } from '@headrace/executor/input-plan';
import { DENSE_INPUT, scoresOutput } from '@headrace/executor/onnx-model';
import type { Tensor, TensorInfo } from '@headrace/executor/tensor';

/**
 * Predict's view of a request that came as tensors: the same rows as a block of features, for the prediction log. Protected attributes that
 * the graph does not take have no place in a tensor, and are missing there.
 * @throws AppError INPUT_INVALID on an infinity, as Predict does; NaN is a missing value.
 */
export function blockOf(plan: InputPlan, inputs: readonly Tensor[], rows: number): FeatureBlock {
  const block = new FeatureBlock(plan, rows);
  block.clear(0, rows);
  for (const { name, bytes, texts } of inputs) {
    if (name === DENSE_INPUT && plan.numbers.length > 0)
      block.numbers.set(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));
    const slot = plan.texts.find((text) => text.name === name);
    if (slot) block.texts[slot.at] = [...texts];
  }
  const infinite = block.numbers.findIndex((value) => Math.abs(value) === Infinity);
  if (infinite >= 0)
    throw new AppError(
      'INPUT_INVALID',
      `row ${Math.floor(infinite / block.width)}: ${plan.numbers[infinite % block.width]!.name} is infinite; send NaN for a missing value`,
    );
  return block;
}

/** Rows of a block as the graph takes them, in the order of its inputs; numbers are not copied. */
export function tensorsOf(inputs: readonly TensorInfo[], block: FeatureBlock, firstRow: number, rows: number): Tensor[] {
  const { plan, width, numbers } = block;
  return inputs.map((info) => {
    const slot = plan.texts.find((text) => text.name === info.name);
    const texts = slot ? block.texts[slot.at]!.slice(firstRow, firstRow + rows) : [];
    const bytes = slot ? NO_BYTES : new Uint8Array(numbers.buffer, numbers.byteOffset + firstRow * width * 4, rows * width * 4);
    return { ...info, shape: [rows, slot ? 1 : width], bytes, texts };
  });
}

const NO_BYTES = new Uint8Array(0);

/** The score of each row: the last column of the scores. */
export function scoresOf(outputs: readonly Tensor[], rows: number): Float32Array {
  const { bytes } = scoresOutput(outputs)!;
  const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const width = all.length / rows;
  return Float32Array.from({ length: rows }, (_, row) => all[(row + 1) * width - 1]!);
}
