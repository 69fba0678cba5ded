import { AppError } from '@headrace/base/errors';
import { parseGoldenRows } from '@headrace/executor/golden-rows';
import { compileInputPlan, type InputPlan } from '@headrace/executor/input-plan';
import { ONNXRUNTIME_VERSION, type OnnxSession } from '@headrace/executor/onnx-runtime';
import { openModel, openTensors, refuseBadOnnx } from '@headrace/executor/open-model';
import { openSession, type TreeRuntime } from '@headrace/executor/open-session';
import { openOnnxInWorker } from '@headrace/executor/worker-onnx';
import { BatchLane } from '../domain/batch-lane.js';
import { EntityLookup } from '../domain/entity-lookup.js';
import type { FeatureDefault, LoadedParts, OpenSession } from '../domain/loaded-model.js';
import type { PredictJob } from '../domain/predict-job.js';
import { nameOf, type VersionDescription } from '../domain/version-description.js';
import { RunWatch } from '../domain/run-watch.js';
import type { ArtifactCache } from '../io/artifact-cache.js';
import { threadCpuMs } from '../io/thread-cpu.js';
import { trialLoad } from '../io/trial-load.js';

export interface RunLimits {
  /** Rows of one run. */
  readonly batchRowsMax: number;
  /** A version whose typical run takes longer runs in a process of its own, ms. */
  readonly inlineRunMs: number;
  readonly trees: TreeRuntime;
}

/**
 * Artefact -> a session that may serve: hash verified by the cache, inspected, opened first in a child process, fitted to its
 * signature, checked against the golden rows, warm. Nothing is left open when a step refuses.
 * @throws AppError ARTIFACT_UNKNOWN, ARTIFACT_CORRUPT, ARTIFACT_REFUSED, MODEL_LOAD_FAILED, DEPENDENCY_UNAVAILABLE
 */
export async function openVersion(
  description: VersionDescription,
  artifacts: ArtifactCache,
  { batchRowsMax, inlineRunMs, trees }: RunLimits,
  signal: AbortSignal,
): Promise<LoadedParts<PredictJob>> {
  const name = nameOf(description);
  const { artifactSha256, signature } = description;
  const isPredictable = hasFeatures(description);
  const plan = isPredictable ? compileInputPlan(signature.features, signature.protectedFeatures) : NO_FEATURES;
  const golden = isPredictable ? parseGoldenRows(description.golden, name) : [];
  const bytes = await artifacts.read(description.project, artifactSha256, signal);
  refuseBadOnnx(bytes, name);
  const file = { path: artifacts.pathOf(artifactSha256), sha256: artifactSha256 };
  let trial = await artifacts.proofOf(artifactSha256, ONNXRUNTIME_VERSION);
  if (!trial) {
    trial = await trialLoad(file.path, name);
    await artifacts.markProven(artifactSha256, ONNXRUNTIME_VERSION, trial);
  }
  signal.throwIfAborted();
  // float32, as the graph compares.
  const threshold = Math.fround(signature.threshold);
  const watch = new RunWatch(trial.rowMs > inlineRunMs ? 'worker' : 'here', inlineRunMs, threadCpuMs);
  const openBytes = (bytes: Uint8Array, open?: () => Promise<OnnxSession>): Promise<OpenSession> =>
    isPredictable ? openModel({ name, bytes, plan, golden, threshold, batchRowsMax, open }) : openTensorsAlone({ name, bytes, open });
  const openHere = (bytes: Uint8Array): Promise<OpenSession> => openBytes(bytes, () => openSession(bytes, trees));
  const openAway = (): Promise<OpenSession> =>
    openBytes(NO_BYTES, () => openOnnxInWorker(file, (rows, ms) => watch.ranElsewhere(rows, ms), trees));
  const session = watch.place === 'worker' ? await openAway() : await openHere(bytes);
  // What was run to prove and to warm it says nothing of its load.
  watch.opened();
  try {
    const lookup = isPredictable ? lookupOf(description, plan) : undefined;
    const { missingFeatures, batchDelayMs } = description;
    return {
      session,
      tensors: session.tensors,
      runtime: session.runtime,
      watch,
      // Not the bytes of now, which would stay in memory as long as the version.
      open: async (place) => (place === 'worker' ? openAway() : openHere(await artifacts.read(description.project, artifactSha256, NEVER))),
      isPredictable,
      lane: isPredictable ? new BatchLane(plan, batchRowsMax, batchDelayMs) : new BatchLane(plan, 1),
      plan,
      threshold,
      lookup,
      missingFeatures,
      defaults: isPredictable ? defaultsOf(description, plan) : [],
      residentBytes: trial.residentBytes,
    };
  } catch (error) {
    session.release();
    throw error;
  }
}

/** A worker reads the file itself. */
const NO_BYTES = new Uint8Array(0);
/** A move is not given up half-way: what it opened for nothing is released. */
const NEVER = new AbortController().signal;

/** @throws AppError MODEL_LOAD_FAILED for a default of a wrong type or without a feature. */
function defaultsOf(description: VersionDescription, plan: InputPlan): FeatureDefault[] {
  const { missingFeatures, defaults } = description;
  if (missingFeatures !== 'default') return [];
  return Object.entries(defaults).map(([column, value]) => {
    const slot = [...plan.numbers, ...plan.texts].find((one) => one.name === column);
    const isText = typeof value === 'string';
    if (slot && isText === (slot.kind === 'text')) return { slot, value };
    throw new AppError(
      'MODEL_LOAD_FAILED',
      `the default of ${column} is ${JSON.stringify(value)}; ${nameOf(description)} has ${slot ? `it as ${slot.type}` : 'no such feature'}`,
    );
  });
}

/** false = a graph of any inputs and outputs, which answers tensors and nothing else. */
export function hasFeatures({ signature }: Pick<VersionDescription, 'signature'>): boolean {
  return signature.features.length + signature.protectedFeatures.length + signature.entityKeys.length > 0;
}

const NO_FEATURES: InputPlan = { numbers: [], texts: [], extraNumbers: [], extraTexts: [], byName: new Map(), lookups: [] };

async function openTensorsAlone(toOpen: Parameters<typeof openTensors>[0]): Promise<OpenSession> {
  return { run: neverAsked, ...(await openTensors(toOpen)) };
}

/** Predict refuses such a version before it has rows to run. */
function neverAsked(): never {
  throw new Error('a version without features has no rows to run');
}

export function lookupOf(description: VersionDescription, plan: InputPlan): EntityLookup | undefined {
  const { entityKeys } = description.signature;
  return entityKeys.length > 0 ? new EntityLookup(description.project, entityKeys, plan, description.views) : undefined;
}
