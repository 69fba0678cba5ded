import { AppError } from '@headrace/base/errors';
import { z } from 'zod';
import type { FeatureBlock } from './feature-block.js';
import type { InputPlan } from './input-plan.js';

/** Rows of the training run's holdout with the answers that the exported graph gave there. */
const common = { features: z.record(z.string(), z.union([z.number(), z.string(), z.boolean(), z.null()])), label: z.number() };
/** A classifier's answer is a probability, that of a regression a value; here both are the score. */
const goldenRow = z.union([
  z.object({ ...common, probability: z.number() }).transform(({ probability, ...row }) => ({ ...row, score: probability })),
  z.object({ ...common, value: z.number() }).transform(({ value, ...row }) => ({ ...row, score: value })),
]);
const golden = z.object({ rows: z.array(goldenRow).min(1).max(1000) });
export type GoldenRow = z.output<typeof goldenRow>;

/** Another build of the runtime may round differently; a wrong graph, threshold or column order is far outside. Of scores beyond 1 it is a share. */
export const GOLDEN_TOLERANCE = 1e-4;

/** @throws AppError MODEL_LOAD_FAILED when there are none, or they are not in the form of the training runtime. */
export function parseGoldenRows(value: unknown, name: string): readonly GoldenRow[] {
  const parsed = golden.safeParse(value);
  if (parsed.success) return parsed.data.rows;
  throw new AppError(
    'MODEL_LOAD_FAILED',
    `${name} has no usable golden rows: ${parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`,
  );
}

/** Writes the features of the golden rows into the block, by name. @throws AppError MODEL_LOAD_FAILED on a feature that is not there. */
export function fillGoldenRows(rows: readonly GoldenRow[], plan: InputPlan, block: FeatureBlock, name: string): void {
  block.clear(0, rows.length);
  for (const [row, { features }] of rows.entries()) {
    for (const slot of plan.numbers) {
      const value = features[slot.name];
      if (value === undefined || typeof value === 'string') throw wrongFeature(name, row, slot.name, value);
      if (value !== null) block.numbers[row * block.width + slot.at] = Number(value);
    }
    for (const slot of plan.texts) {
      const value = features[slot.name];
      if (value === undefined || typeof value === 'number' || typeof value === 'boolean') throw wrongFeature(name, row, slot.name, value);
      block.texts[slot.at]![row] = value ?? '';
    }
  }
}

/** @throws AppError MODEL_LOAD_FAILED that names the first row that disagrees, with both numbers. */
export function compareGoldenRows(rows: readonly GoldenRow[], scores: Float32Array, threshold: number, name: string): void {
  for (const [row, expected] of rows.entries()) {
    const score = scores[row]!;
    const label = score >= threshold ? 1 : 0;
    const allowed = GOLDEN_TOLERANCE * Math.max(1, Math.abs(expected.score));
    const isNear = Math.abs(score - expected.score) <= allowed;
    if (isNear && label === expected.label) continue;
    throw new AppError(
      'MODEL_LOAD_FAILED',
      `${name} answers golden row ${row} with ${score} (label ${label}) where training got ${expected.score} (label ${expected.label}); allowed difference ${allowed}`,
    );
  }
}

function wrongFeature(name: string, row: number, feature: string, value: unknown): AppError {
  return new AppError(
    'MODEL_LOAD_FAILED',
    `golden row ${row} of ${name} has ${value === undefined ? 'no value' : `the value ${JSON.stringify(value)}`} for ${feature}`,
  );
}
