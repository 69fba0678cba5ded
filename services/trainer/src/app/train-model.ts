import { isDefinitionOf, parseDefinition, type FeatureViewDefinition } from '@headrace/definitions/definition';
import type { FeatureStoreDefinition, TrainingSet } from '@headrace/contracts/features/v1/features';
import type { RegistryDefinition, RegisterVersionRequest, Version } from '@headrace/contracts/registry/v1/registry';
import { AppError } from '@headrace/base/errors';
import type { Client } from '@headrace/platform/grpc/client';
import type { Fetch } from '@headrace/platform/http/fetch';
import { createHash } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { entityColumns, planTraining, runtimeSpec, type TrainingPlan } from '../domain/training-plan.js';
import { readRuntimeFile, summary, type RuntimeResult } from '../domain/runtime-results.js';
import { uploadArtifact } from '../io/artifact-upload.js';
import { codeHash } from '../io/code-hash.js';
import type { PythonRuntime } from '../io/python-runtime.js';
import { readDefinition } from '../io/registry.js';
import type { RunRow } from '../io/runs.js';
import { downloadTrainingSet } from '../io/training-set-file.js';
import { runTraining } from '../io/training-process.js';

export interface TrainingTools {
  readonly registry: Client<typeof RegistryDefinition>;
  readonly registryHttp: string;
  readonly featureStore: Client<typeof FeatureStoreDefinition>;
  readonly featureStoreHttp: string;
  readonly apiKey: string;
  readonly fetch: Fetch;
  readonly runtime: PythonRuntime;
  readonly environment: Readonly<Record<string, string>>;
  readonly cpus: number;
}

/** What the worker that holds the run gives and hears. */
export interface Attempt {
  readonly run: RunRow;
  readonly workDir: string;
  readonly signal: AbortSignal;
  readonly onStep: (step: string) => void;
  readonly onPid: (pid: number) => Promise<void>;
}

export interface Trained {
  readonly version: number;
  readonly metrics: Record<string, unknown>;
}

/** A point-in-time join over years of rows takes its time. */
const BUILD_TIMEOUT_MS = 600_000;
const REGISTER_TIMEOUT_MS = 60_000;
/** The four files travel in one gRPC message, whose limit is 16 MiB. */
const FILE_BYTES_MAX = 8 * 1024 * 1024;

/**
 * One attempt from definition to registered version. Every step may be repeated: the training set is named by its content, the artefact by
 * its bytes, the version by the run. @throws AppError of the step that failed, or the signal's reason
 */
export async function trainModel(tools: TrainingTools, attempt: Attempt): Promise<Trained> {
  const { run, workDir, signal, onStep } = attempt;
  const call = { signal, traceparent: run.traceparent };

  onStep('definition');
  const { definition, champion } = await readDefinition(tools.registry, run.project, run.model, call);
  const plan = planTraining(definition, await readViews(tools, run, call));

  onStep('training-set');
  const set = await tools.featureStore.buildTrainingSet(
    { project: run.project, ...plan.trainingSet },
    { ...call, timeoutMs: BUILD_TIMEOUT_MS },
  );
  const keys = entityColumns(set.columns, plan);

  onStep('download');
  const parquet = join(workDir, 'training-set.parquet');
  const url = `${tools.featureStoreHttp}${set.path}?project=${encodeURIComponent(run.project)}`;
  await downloadTrainingSet(url, parquet, { sha256: set.hash, bytes: set.bytes, apiKey: tools.apiKey, signal, fetch: tools.fetch });

  onStep('train');
  const specPath = join(workDir, 'spec.json');
  const mitigation = run.mitigation ?? undefined;
  await writeFile(
    specPath,
    JSON.stringify(
      runtimeSpec(definition, plan, { runId: run.run_id, project: run.project, path: parquet, sha256: set.hash, keys, mitigation }),
      null,
      1,
    ),
  );
  const outDir = join(workDir, 'out');
  await runTraining({
    runtime: tools.runtime,
    workDir,
    specPath,
    outDir,
    environment: tools.environment,
    cpus: tools.cpus,
    signal,
    onStep,
    onPid: attempt.onPid,
  });
  const results = await readResults(outDir, run.run_id);

  onStep('upload');
  await uploadArtifact(tools.registryHttp, run.project, results.result.onnx.sha256, join(outDir, 'model.onnx'), {
    apiKey: tools.apiKey,
    signal,
    fetch: tools.fetch,
  });

  onStep('register');
  const lineage = { run, set, champion, definitionHash: definition.contentHash, code: await codeHash(tools.runtime.packageDir) };
  const version = await tools.registry.registerVersion(registration(lineage, plan, keys, results), {
    ...call,
    timeoutMs: REGISTER_TIMEOUT_MS,
  });
  return { version: version.version, metrics: { ...summary(results.result), verdict: verdictOf(version) } };
}

async function readViews(
  tools: TrainingTools,
  run: RunRow,
  call: { signal: AbortSignal; traceparent: string },
): Promise<Map<string, FeatureViewDefinition>> {
  const { views } = await tools.featureStore.listViews({ project: run.project }, call);
  const parsed = views.map((view) => parseDefinition({ ...view.spec, kind: 'FeatureView', name: view.name }, `feature view ${view.name}`));
  return new Map(parsed.filter((d): d is FeatureViewDefinition => isDefinitionOf(d, 'FeatureView')).map((d) => [d.name, d]));
}

interface Results {
  readonly result: RuntimeResult;
  readonly baseline: Record<string, unknown>;
  readonly golden: Record<string, unknown>;
}

async function readResults(outDir: string, runId: string): Promise<Results> {
  const read = async (file: string): Promise<string> => {
    const { size } = await stat(join(outDir, file)).catch(() =>
      Promise.reject(new AppError('TRAINING_FAILED', `the training runtime ended well but wrote no ${file}`)),
    );
    if (size > FILE_BYTES_MAX)
      throw new AppError('TRAINING_FAILED', `${file} has ${size} bytes; at most ${FILE_BYTES_MAX} fit into a registration`);
    return readFile(join(outDir, file), 'utf8');
  };
  const result = readRuntimeFile('result.json', await read('result.json'));
  const baseline = readRuntimeFile('baseline.json', await read('baseline.json'));
  const golden = readRuntimeFile('golden.json', await read('golden.json'));
  if (result.runId !== runId) throw new AppError('TRAINING_FAILED', `result.json is that of run ${result.runId}, not of ${runId}`);
  const actual = createHash('sha256')
    .update(await readFile(join(outDir, 'model.onnx')))
    .digest('hex');
  if (actual !== result.onnx.sha256)
    throw new AppError('TRAINING_FAILED', `model.onnx has the sha256 ${actual}, but result.json says ${result.onnx.sha256}`);
  return { result, baseline, golden };
}

interface LineageFacts {
  readonly run: RunRow;
  readonly set: TrainingSet;
  readonly champion: number;
  readonly definitionHash: string;
  readonly code: string;
}

function registration(
  { run, set, champion, definitionHash, code }: LineageFacts,
  plan: TrainingPlan,
  keys: readonly string[],
  { result, baseline, golden }: Results,
): RegisterVersionRequest {
  return {
    project: run.project,
    model: run.model,
    runId: run.run_id,
    artifactSha256: result.onnx.sha256,
    signature: {
      features: [...plan.features],
      protectedFeatures: [...plan.protectedFeatures],
      entityKeys: [...keys],
      threshold: result.signature.threshold,
      outputs: result.signature.outputs.map((output) => output.name),
    },
    evaluation: result,
    baseline,
    golden,
    lineage: {
      trainingSetHash: set.hash,
      trainingSetQuery: set.query,
      viewHashes: set.viewHashes,
      codeHash: code,
      definitionHash,
      parentVersion: champion,
      alertId: run.alert_id,
      requestId: run.request_id,
      mitigation: run.mitigation ? { ...run.mitigation } : undefined,
    },
  };
}

function verdictOf({ blessing }: Version): string {
  return blessing?.blessed
    ? 'blessed'
    : `rejected: ${(blessing?.gates ?? [])
        .filter((gate) => !gate.passed)
        .map((gate) => gate.sentence)
        .join('; ')}`;
}
