/**
 * `npm run build && node bench/serving/heap.ts`: does the heap of the serving service grow with the requests that it answered? The whole service with everything on; one row a request, 64
 * in flight on one connection. After each round all garbage is collected and what is left is read. Prints growth per million requests, and writes `heap.json` beside this file.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sleep } from '@headrace/base/clock';
import { seededRandom } from '@headrace/base/random';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { machine, savePayload, stop } = (await import(new URL('../kit.ts', import.meta.url).href)) as typeof import('../kit.js');
const { denseRequests, load, openRig, rowsOf, saveModels, startServing } = (await import(
  new URL('./rig.ts', import.meta.url).href
)) as typeof import('./rig.js');
const { makeMlp } = (await import(new URL('./mlp.ts', import.meta.url).href)) as typeof import('./mlp.js');

const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, rounds: { type: 'string', default: '5' } },
});
/** Before a measured window, in the load generator. */
const WARM_S = 0.5;
const PROBE_MS_MAX = 20_000;

interface Heap {
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
}

const random = seededRandom(7);
const row = rowsOf(random);
const rig = await openRig();
const heapFile = join(rig.work, 'heap.json');
/** Requests since the start, and the heap then. The first rounds fill pools, caches and the code of functions. */
const rounds: { readonly requests: number; readonly heapUsedKib: number; readonly arrayBuffersKib: number }[] = [];
try {
  saveModels(join(rig.work, 'state'), { mlp: makeMlp(random) }, row);
  const payload = join(rig.work, 'rows.bin');
  savePayload(payload, denseRequests('mlp', row));
  const probe = ['--expose-gc', '--import', new URL('./heap-probe.mjs', import.meta.url).href];
  const server = await startServing(rig, 'heap', { BENCH_HEAP_FILE: heapFile }, probe);
  let answered = 0;
  for (let round = 0; round < Number(options.rounds); round++) {
    const wanted = { payload, callers: 64, connections: 1, seconds: Number(options.seconds), timeoutMs: 1_000 };
    const { requestsPerSecond } = await load(rig, server, { path: '/headrace.serving.v1.Prediction/Predict', ...wanted });
    answered += requestsPerSecond * (Number(options.seconds) + WARM_S);
    // The last rows of the prediction log leave by then.
    await sleep(1_000);
    const { heapUsed, arrayBuffers } = await heapOf(server.child.pid!);
    rounds.push({
      requests: Math.round(answered),
      heapUsedKib: Math.round(heapUsed / 1024),
      arrayBuffersKib: Math.round(arrayBuffers / 1024),
    });
    console.info(JSON.stringify(rounds.at(-1)));
  }
  await stop(server.child);
} finally {
  await rig.close();
}
const [first, last] = [rounds[1]!, rounds.at(-1)!];
const millions = (last.requests - first.requests) / 1e6;
const growth = {
  millions: Math.round(millions * 100) / 100,
  heapKibPerMillionRequests: Math.round((last.heapUsedKib - first.heapUsedKib) / millions),
  arrayBuffersKibPerMillionRequests: Math.round((last.arrayBuffersKib - first.arrayBuffersKib) / millions),
};
console.info('from the second round to the last', JSON.stringify(growth));
writeFileSync(
  join(import.meta.dirname, 'heap.json'),
  `${JSON.stringify({ date: new Date().toISOString(), machine: machine(), rounds, growth }, null, 2)}\n`,
);

async function heapOf(pid: number): Promise<Heap> {
  rmSync(heapFile, { force: true });
  process.kill(pid, 'SIGUSR2');
  for (const until = Date.now() + PROBE_MS_MAX; !existsSync(heapFile); await sleep(20))
    if (Date.now() > until) throw new Error(`the service did not tell its heap within ${PROBE_MS_MAX / 1000} s`);
  return JSON.parse(readFileSync(heapFile, 'utf8')) as Heap;
}
