/**
 * Runs alone in a throw-away process: opens a file that this machine has not opened before, runs one row of zeros and says what that took. A file that
 * crashes ONNX Runtime (malformed models have) ends this process and no other. Only the runtime is imported, and no syntax that
 * Node could not strip, because under the tests this file runs as TypeScript.
 */
import { readFileSync } from 'node:fs';
import { InferenceSession, Tensor } from 'onnxruntime-node';

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
    feeds[input.name] =
      input.type === 'string'
        ? new Tensor('string', new Array<string>(size).fill(''), dims)
        : new Tensor('float32', new Float32Array(size), dims);
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
