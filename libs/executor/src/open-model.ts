import { AppError, messageOf } from '@headrace/base/errors';
import { FeatureBlock } from './feature-block.js';
import { compareGoldenRows, fillGoldenRows, type GoldenRow } from './golden-rows.js';
import type { InputPlan } from './input-plan.js';
import type { ModelSession } from './model-session.js';
import { OnnxModel } from './onnx-model.js';
import { refuseOnnx } from './onnx-refusal.js';
import type { OnnxSession, ScoreRuntime } from './onnx-runtime.js';
import { OnnxTensors } from './onnx-tensors.js';
import { openSession } from './open-session.js';

/** Batch sizes that are run once before the first request: kernels choose their way by shape. */
const WARM_ROWS = [1, 2, 8, 32];

export interface ModelToOpen {
  /** `model/version`, for messages. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly plan: InputPlan;
  readonly golden: readonly GoldenRow[];
  /** A score at or above it is label 1. */
  readonly threshold: number;
  /** Most rows of one run. */
  readonly batchRowsMax: number;
  /** Where it runs, and by what; default: in this process. */
  readonly open?: ((bytes: Uint8Array) => Promise<OnnxSession>) | undefined;
}

/** @throws AppError ARTIFACT_REFUSED for what must not even be opened: external data, foreign operators, no ONNX. */
export function refuseBadOnnx(bytes: Uint8Array, name: string): void {
  const refusal = refuseOnnx(bytes);
  if (refusal !== undefined) throw new AppError('ARTIFACT_REFUSED', `the artefact of ${name} is refused: ${refusal}`);
}

/**
 * Bytes -> a session that may answer: opened, fitted to its signature, checked against the golden rows, warm. Nothing is left open
 * when a step refuses. The one way to a session, online and offline.
 * @throws AppError MODEL_LOAD_FAILED
 */
export async function openModel({ name, bytes, plan, golden, threshold, batchRowsMax, open }: ModelToOpen): Promise<OnnxModel> {
  const session = await openNamed(name, bytes, open);
  try {
    const model = new OnnxModel(session, plan, name);
    const block = new FeatureBlock(plan, Math.max(golden.length, batchRowsMax));
    fillGoldenRows(golden, plan, block, name);
    compareGoldenRows(golden, await model.run(block, 0, golden.length), threshold, name);
    await warm(model, block, batchRowsMax);
    await model.tensors.proveRowWise();
    return model;
  } catch (error) {
    session.release();
    throw error instanceof AppError
      ? error
      : new AppError('MODEL_LOAD_FAILED', `${name} opens and does not run: ${messageOf(error)}`, { cause: error });
  }
}

export interface OpenTensors {
  readonly tensors: OnnxTensors;
  readonly runtime: ScoreRuntime;
  release(): void;
  retire(): void;
}

/**
 * Bytes -> a session for tensors alone, of a graph without features, scores or golden rows. Inputs are unknown, so nothing is run: the trial in a
 * child process has run it once.
 * @throws AppError MODEL_LOAD_FAILED
 */
export async function openTensors({ name, bytes, open }: Pick<ModelToOpen, 'name' | 'bytes' | 'open'>): Promise<OpenTensors> {
  const session = await openNamed(name, bytes, open);
  try {
    return {
      tensors: new OnnxTensors(session, name),
      runtime: session.runtime,
      release: () => session.release(),
      retire: () => session.retire(),
    };
  } catch (error) {
    session.release();
    throw error;
  }
}

function openNamed(name: string, bytes: Uint8Array, open: ModelToOpen['open'] = openSession): Promise<OnnxSession> {
  return open(bytes).catch((error: unknown) => {
    throw new AppError('MODEL_LOAD_FAILED', `ONNX Runtime cannot open ${name}: ${messageOf(error)}`, { cause: error });
  });
}

async function warm(model: ModelSession, block: FeatureBlock, batchRowsMax: number): Promise<void> {
  for (const rows of [...WARM_ROWS.filter((rows) => rows < batchRowsMax), batchRowsMax]) await model.run(block, 0, rows);
}
