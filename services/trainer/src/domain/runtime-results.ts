import { AppError } from '@headrace/base/errors';
import { z } from 'zod';

/** What the worker relies on in the files of the training runtime; the rest passes through to the registry untouched. */
const measured = z.number().nullable();

const resultShape = z.looseObject({
  runId: z.string(),
  onnx: z.looseObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/), bytes: z.int().positive() }),
  signature: z.looseObject({ outputs: z.array(z.looseObject({ name: z.string() })).min(1), threshold: z.number() }),
  rows: z.looseObject({ train: z.int().positive(), holdout: z.int().positive() }),
  metrics: z.record(z.string(), measured),
  groups: z.array(z.looseObject({ attribute: z.string(), equal_opportunity_difference: measured })),
  parity: z.looseObject({ rows: z.int().positive(), max_abs_diff: z.number(), label_mismatches: z.literal(0) }),
});

const baselineShape = z.looseObject({
  rows: z.int().positive(),
  features: z.array(z.looseObject({ name: z.string(), kind: z.enum(['numeric', 'categorical']) })).min(1),
});

const goldenRow = { features: z.record(z.string(), z.unknown()), label: z.int() };
const goldenShape = z.looseObject({
  rows: z
    .array(z.union([z.looseObject({ ...goldenRow, probability: z.number() }), z.looseObject({ ...goldenRow, value: z.number() })]))
    .min(1),
});

const SHAPES = { 'result.json': resultShape, 'baseline.json': baselineShape, 'golden.json': goldenShape } as const;
type Shapes = typeof SHAPES;

export type ResultFile = keyof Shapes;
export type RuntimeResult = z.output<typeof resultShape>;

/** @throws AppError TRAINING_FAILED naming the file and each field that is not as agreed */
export function readRuntimeFile<F extends ResultFile>(file: F, content: string): z.output<Shapes[F]> {
  let document: unknown;
  try {
    document = JSON.parse(content);
  } catch (error) {
    throw new AppError('TRAINING_FAILED', `the training runtime wrote a ${file} that is not JSON`, { cause: error });
  }
  const parsed = SHAPES[file].safeParse(document);
  if (parsed.success) return parsed.data as z.output<Shapes[F]>;
  throw new AppError(
    'TRAINING_FAILED',
    `the training runtime wrote a ${file} that is not as agreed: ${parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`,
  );
}

/** What people see of a run at a glance: the metrics, and the gap of each protected attribute. */
export function summary(result: RuntimeResult): Record<string, unknown> {
  return {
    ...result.metrics,
    equal_opportunity_difference: Object.fromEntries(result.groups.map((g) => [g.attribute, g.equal_opportunity_difference])),
  };
}
