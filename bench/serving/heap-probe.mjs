// Loaded into a service by `--import`, with `--expose-gc`: at each SIGUSR2 it collects all garbage and writes the heap that is left into the file BENCH_HEAP_FILE.
import { renameSync, writeFileSync } from 'node:fs';

const file = process.env.BENCH_HEAP_FILE;

process.on('SIGUSR2', () => {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  writeFileSync(`${file}.new`, JSON.stringify({ heapUsed, external, arrayBuffers }));
  renameSync(`${file}.new`, file);
});
