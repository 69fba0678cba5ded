import { AppError, messageOf } from '@headrace/base/errors';
import { BatchLane } from '../domain/batch-lane.js';
import { EntityLookup } from '../domain/entity-lookup.js';
import { FeatureBlock } from '../domain/feature-block.js';
import { compareGoldenRows, fillGoldenRows, parseGoldenRows } from '../domain/golden-rows.js';
import { compileInputPlan, type InputPlan } from '../domain/input-plan.js';
import type { LoadedParts, ModelSession } from '../domain/loaded-model.js';
import { refuseOnnx } from '../domain/onnx-refusal.js';
import type { PredictJob } from '../domain/predict-job.js';
import { nameOf, type VersionDescription } from '../domain/version-description.js';
import type { ArtifactCache } from '../io/artifact-cache.js';
import { OnnxModel } from '../io/onnx-model.js';
import { ONNXRUNTIME_VERSION, openOnnx } from '../io/onnx-runtime.js';
import { trialLoad } from '../io/trial-load.js';

/** Batch sizes that are run once before the first request: kernels choose their way by shape. */
const WARM_ROWS = [1, 2, 8, 32];

/**
 * Artefact -> a session that may serve: hash verified by the cache, inspected, opened first in a child process, fitted to its
 * signature, checked against the golden rows, warm. Nothing is left open when a step refuses.
 * @throws AppError ARTIFACT_UNKNOWN, ARTIFACT_CORRUPT, ARTIFACT_REFUSED, MODEL_LOAD_FAILED, DEPENDENCY_UNAVAILABLE
 */
export async function openVersion(
  description: VersionDescription,
  artifacts: ArtifactCache,
  batchRowsMax: number,
  signal: AbortSignal,
): Promise<LoadedParts<PredictJob>> {
  const name = nameOf(description);
  const { artifactSha256, signature } = description;
  const plan = compileInputPlan(signature.features, signature.protectedFeatures);
  const golden = parseGoldenRows(description.golden, name);
  const bytes = await artifacts.read(description.project, artifactSha256, signal);
  const refusal = refuseOnnx(bytes);
  if (refusal !== undefined)
    throw new AppError('ARTIFACT_REFUSED', `the artefact of ${name} is refused: ${refusal}`, { details: { sha256: artifactSha256 } });
  if (!(await artifacts.isProven(artifactSha256, ONNXRUNTIME_VERSION))) {
    await trialLoad(artifacts.pathOf(artifactSha256), name);
    await artifacts.markProven(artifactSha256, ONNXRUNTIME_VERSION);
  }
  signal.throwIfAborted();
  const session = await openOnnx(bytes).catch((error: unknown) => {
    throw new AppError('MODEL_LOAD_FAILED', `ONNX Runtime cannot open ${name}: ${messageOf(error)}`, { cause: error });
  });
  try {
    const model = new OnnxModel(session, plan, name);
    // float32, as the graph compares.
    const threshold = Math.fround(signature.threshold);
    const block = new FeatureBlock(plan, Math.max(golden.length, batchRowsMax));
    fillGoldenRows(golden, plan, block, name);
    compareGoldenRows(golden, await model.run(block, 0, golden.length), threshold, name);
    await warm(model, block, batchRowsMax);
    return {
      session: model,
      lane: new BatchLane(plan, batchRowsMax),
      plan,
      threshold,
      lookup: lookupOf(description, plan),
      missingFeatures: description.missingFeatures,
    };
  } catch (error) {
    session.release();
    throw error instanceof AppError
      ? error
      : new AppError('MODEL_LOAD_FAILED', `${name} opens and does not run: ${messageOf(error)}`, { cause: error });
  }
}

export function lookupOf(description: VersionDescription, plan: InputPlan): EntityLookup | undefined {
  const { entityKeys } = description.signature;
  return entityKeys.length > 0 ? new EntityLookup(description.project, entityKeys, plan, description.views) : undefined;
}

async function warm(model: ModelSession, block: FeatureBlock, batchRowsMax: number): Promise<void> {
  for (const rows of [...WARM_ROWS.filter((rows) => rows < batchRowsMax), batchRowsMax]) await model.run(block, 0, rows);
}
