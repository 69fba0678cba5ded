/**
 * Runs alone in a throw-away process: opens a file that this machine has not opened before, runs one row of zeros and says what that took. A file that
 * crashes ONNX Runtime (malformed models have) ends this process and no other. Only the runtime is imported, and no syntax that
 * Node could not strip, because under the tests this file runs as TypeScript.
 */
import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const ARRAYS: Record<string, new (length: number) => unknown> = {
  bool: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  // Half floats by their bits.
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
};

const path = process.argv[2]!;
try {
  const bytes = readFileSync(path);
  const before = process.memoryUsage.rss();
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 });
  const feeds: Record<string, Tensor> = {};
  for (const input of session.inputMetadata) {
    if (!input.isTensor) throw new Error(`input ${input.name} is not a tensor`);
    const dims = input.shape.map((d) => (typeof d === 'number' ? d : 1));
    const size = dims.reduce((a, b) => a * b, 1);
    if (size > 1_000_000) throw new Error(`input ${input.name} wants ${size} values for one row`);
    const data = elements(input.type, size);
    const tensor = new Tensor(input.type as 'float32', data as Float32Array, dims);
    // The native side does not know Float16Array, which the wrapper lays over half floats; see onnx-tensors.ts of libs/executor.
    feeds[input.name] = input.type === 'float16' ? Object.assign(tensor, { cpuData: data }) : tensor;
  }
  await session.run(feeds);
  let rowMs = Infinity;
  for (let i = 0; i < 3; i++) {
    const startedAt = performance.now();
    await session.run(feeds);
    rowMs = Math.min(rowMs, performance.now() - startedAt);
  }
  const residentBytes = Math.max(0, process.memoryUsage.rss() - before);
  process.stdout.write(JSON.stringify({ rowMs, residentBytes }), () => process.exit(0));
} catch (error) {
  process.stderr.write(error instanceof Error ? error.message : String(error), () => process.exit(1));
}

function elements(type: string, size: number): unknown {
  if (type === 'string') return new Array<string>(size).fill('');
  const array = ARRAYS[type];
  if (!array) throw new Error(`inputs of type ${type} cannot be sent`);
  return new array(size);
}
