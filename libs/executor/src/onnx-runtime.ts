import { createRequire } from 'node:module';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { messageOf } from '@headrace/base/errors';
import { DATATYPES } from './tensor.js';

/** What a session needs and gives, whichever way it runs. */
export interface OnnxSession {
  readonly inputs: readonly OnnxTensorInfo[];
  readonly outputs: readonly OnnxTensorInfo[];
  readonly kind: 'direct' | 'public';
  readonly runtime: ScoreRuntime;
  run(feeds: Record<string, Tensor>, output: string): Tensor | Promise<Tensor>;
  /** Any outputs; the memory of their tensors is their own. */
  runAll(feeds: Record<string, Tensor>, outputs: readonly string[]): Record<string, Tensor> | Promise<Record<string, Tensor>>;
  release(): void;
  /** As `release`, after the runs that are under way. */
  retire(): void;
}

/** What computes the scores: ONNX Runtime, or our walk over trees (trees/tree-session.ts). */
export interface ScoreRuntime {
  readonly name: 'onnxruntime' | 'trees';
  /** Why it is not trees. */
  readonly reason: string;
}

/** @param reason why it is not our walk */
export const byOnnxRuntime = (reason: string): ScoreRuntime => ({ name: 'onnxruntime', reason });

export interface OnnxTensorInfo {
  readonly name: string;
  /** Element type, such as `float32`, `int64`, `string`. */
  readonly type: string;
  /** -1 = any. */
  readonly shape: readonly number[];
}

/** The version whose internals we know; another one runs through the public API until someone has looked. */
export const ONNXRUNTIME_VERSION = '1.30.0';

/**
 * One thread and no spinning: the default threads burn 6.75 ms of CPU for a run that needs 0.83 (measured). Batches and
 * processes make the parallelism.
 */
const SESSION_OPTIONS: InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  // Fatal only: what fails a run is thrown at us, and a caller must not be able to fill our stderr.
  logSeverityLevel: 4,
  extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
};

/** The native class behind `InferenceSession`; its `run` is synchronous. */
interface NativeSession {
  loadModel(buffer: ArrayBufferLike, byteOffset: number, byteLength: number, options: InferenceSession.SessionOptions): void;
  readonly inputMetadata: readonly NativeMetadata[];
  readonly outputMetadata: readonly NativeMetadata[];
  run(feeds: Record<string, Tensor>, fetches: Record<string, null>, options: object): Record<string, Tensor>;
  dispose(): void;
}

interface NativeMetadata {
  readonly name: string;
  readonly isTensor: boolean;
  readonly shape: readonly number[];
  readonly type: number;
}

interface NativeBinding {
  readonly InferenceSession: new () => NativeSession;
}

/**
 * The binding of the pinned version, or the reason why it cannot be used. `session.run` does the same native call on the same
 * thread, plus a promise and a `setImmediate`: 3 to 4 us more for each run (measured).
 */
export const directBinding: { readonly native: NativeBinding | undefined; readonly reason: string } = findBinding();

/** Opens the bytes. @param isDirect false = the public API, whatever the binding. @throws Error what ONNX Runtime says of the file. */
export async function openOnnx(bytes: Uint8Array, isDirect = true): Promise<OnnxSession> {
  return isDirect && directBinding.native ? openDirect(bytes, directBinding.native) : openPublic(bytes);
}

function openDirect(bytes: Uint8Array, native: NativeBinding): OnnxSession {
  const session = new native.InferenceSession();
  session.loadModel(bytes.buffer, bytes.byteOffset, bytes.byteLength, SESSION_OPTIONS);
  // One object for all runs: `null` asks the runtime to make the output.
  const fetches: Record<string, null> = {};
  return {
    kind: 'direct',
    runtime: byOnnxRuntime(''),
    inputs: session.inputMetadata.map(fromNative),
    outputs: session.outputMetadata.map(fromNative),
    run: (feeds, output) => {
      if (!(output in fetches)) fetches[output] = null;
      return session.run(feeds, fetches, NO_OPTIONS)[output]!;
    },
    runAll: (feeds, outputs) => session.run(feeds, Object.fromEntries(outputs.map((name) => [name, null])), NO_OPTIONS),
    release: () => session.dispose(),
    // A run returns before anything else happens: none is under way.
    retire: () => session.dispose(),
  };
}

async function openPublic(bytes: Uint8Array): Promise<OnnxSession> {
  const session = await InferenceSession.create(bytes, SESSION_OPTIONS);
  const running = new Set<Promise<unknown>>();
  const track = <T>(run: Promise<T>): Promise<T> => {
    running.add(run);
    const done = (): void => void running.delete(run);
    run.then(done, done);
    return run;
  };
  const release = (): void => void Promise.allSettled(running).then(() => session.release());
  return {
    kind: 'public',
    runtime: byOnnxRuntime(''),
    inputs: session.inputMetadata.map(fromPublic),
    outputs: session.outputMetadata.map(fromPublic),
    run: (feeds, output) => track(session.run(feeds, [output])).then((outputs) => outputs[output]!),
    runAll: (feeds, outputs) => track(session.run(feeds, outputs)),
    release,
    retire: release,
  };
}

/** @param type as ONNX Runtime names it. Half floats come by their bits. */
export function makeTensor(type: string, elements: unknown, shape: readonly number[]): Tensor {
  const tensor = new Tensor(type as 'float32', elements as Float32Array, shape);
  // The runtime's JavaScript lays a Float16Array over half floats, and its native side does not know that type: it would see no element (1.30.0).
  return type === 'float16' ? Object.assign(tensor, { cpuData: elements }) : tensor;
}

function findBinding(): { native: NativeBinding | undefined; reason: string } {
  const require = createRequire(import.meta.url);
  try {
    const { version } = require('onnxruntime-node/package.json') as { version: string };
    if (version !== ONNXRUNTIME_VERSION)
      return { native: undefined, reason: `onnxruntime-node is ${version}, the direct binding is known for ${ONNXRUNTIME_VERSION}` };
    const module = require('onnxruntime-node/dist/binding') as { binding?: NativeBinding; initOrt?: () => void };
    if (typeof module.binding?.InferenceSession !== 'function' || typeof module.initOrt !== 'function')
      return { native: undefined, reason: 'the binding module has another shape' };
    module.initOrt();
    return { native: module.binding, reason: '' };
  } catch (error) {
    return { native: undefined, reason: messageOf(error) };
  }
}

const NO_OPTIONS = {};
const TYPE_NAMES: ReadonlyMap<number, string> = new Map(Object.values(DATATYPES).map(({ dataType, onnx }) => [dataType, onnx]));

function fromNative(metadata: NativeMetadata): OnnxTensorInfo {
  return {
    name: metadata.name,
    type: metadata.isTensor ? (TYPE_NAMES.get(metadata.type) ?? `type ${metadata.type}`) : 'not a tensor',
    shape: metadata.shape,
  };
}

function fromPublic(metadata: InferenceSession.ValueMetadata): OnnxTensorInfo {
  if (!metadata.isTensor) return { name: metadata.name, type: 'not a tensor', shape: [] };
  return { name: metadata.name, type: metadata.type, shape: metadata.shape.map((d) => (typeof d === 'number' ? d : -1)) };
}
