// Loaded into a service by `--import`, with `--expose-gc`: at each SIGUSR2 it collects all garbage and writes the heap that is left into the file BENCH_HEAP_FILE.
import { renameSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

const file = process.env.BENCH_HEAP_FILE;

process.on('SIGUSR2', async () => {
  // What native code gave us is let go in a turn of its own, behind the collection that found it.
  for (let i = 0; i < 3; i++) {
    globalThis.gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    await setTimeout(50);
  }
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  writeFileSync(`${file}.new`, JSON.stringify({ heapUsed, external, arrayBuffers }));
  renameSync(`${file}.new`, file);
});
