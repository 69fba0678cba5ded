/**
 * `npm run build && node bench/serving/trees-walk.ts`: our own walk over trees beside ONNX Runtime, both without a server around them: what a row of 300 trees costs alone and in batches,
 * and what it takes to open the model: the time, and the longest pause of the event loop. Writes `trees-walk.json`.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { seededRandom } from '@headrace/base/random';
import { openSession, type TreeRuntime } from '@headrace/executor/open-session';
import { Tensor } from 'onnxruntime-node';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { machine, ratio } = (await import(new URL('../kit.ts', import.meta.url).href)) as typeof import('../kit.js');
const { rowsOf } = (await import(new URL('./rig.ts', import.meta.url).href)) as typeof import('./rig.js');
const { FEATURES } = (await import(new URL('./onnx.ts', import.meta.url).href)) as typeof import('./onnx.js');
const { makeTrees } = (await import(new URL('./trees.ts', import.meta.url).href)) as typeof import('./trees.js');

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '15' } } });
const RUNTIMES = ['walk', 'onnxruntime'] as const satisfies readonly TreeRuntime[];
const BATCHES = [1, 8, 32, 128];
/** Of a round; different ones, because a processor learns the way of few. */
const ROWS = 4096;

const random = seededRandom(7);
const row = rowsOf(random);
const { onnx } = makeTrees(random);
const values = Float32Array.from(Array.from({ length: ROWS }, row).flat());
const sessions = { walk: await openSession(onnx, 'walk'), onnxruntime: await openSession(onnx, 'onnxruntime') };
if (sessions.walk.runtime.name !== 'trees') throw new Error(`the trees are not walked: ${sessions.walk.runtime.reason}`);

const results = BATCHES.map((rows) => {
  const [walk, onnxruntime] = leastOf(RUNTIMES.map((runtime) => () => usPerRow(runtime, rows)));
  return { rows, usPerRow: { walk, onnxruntime }, timesFaster: ratio(onnxruntime!, walk!) };
});
const opening: Record<string, { ms: number; longestPauseMs: number }> = {};
for (const runtime of RUNTIMES) opening[runtime] = await open(runtime);
for (const session of Object.values(sessions)) session.release();
for (const line of [...results, opening]) console.info(JSON.stringify(line));
const record = { date: new Date().toISOString(), machine: machine(), trees: 300, depth: 6, results, opening };
writeFileSync(join(import.meta.dirname, 'trees-walk.json'), `${JSON.stringify(record, null, 2)}\n`);

/** Turn about; of each the round that met the fewest pauses. */
function leastOf(calls: readonly (() => number)[]): number[] {
  const least = calls.map(() => Infinity);
  for (let round = 0; round < Number(options.rounds); round++) calls.forEach((call, i) => (least[i] = Math.min(least[i]!, call())));
  return least.map((us) => Math.round(us * 100) / 100);
}

function usPerRow(runtime: TreeRuntime, rows: number): number {
  const session = sessions[runtime];
  const startedAt = performance.now();
  for (let from = 0; from < ROWS; from += rows) {
    const features = new Tensor('float32', values.subarray(from * FEATURES, (from + rows) * FEATURES), [rows, FEATURES]);
    void session.run({ features }, 'probabilities');
  }
  return ((performance.now() - startedAt) * 1000) / ROWS;
}

/** The quickest of the rounds, and its longest time without a turn of the event loop. */
async function open(runtime: TreeRuntime): Promise<{ ms: number; longestPauseMs: number }> {
  let best = { ms: Infinity, longestPauseMs: Infinity };
  for (let round = 0; round < Number(options.rounds); round++) {
    let [longestPauseMs, lastAt, isOpen] = [0, performance.now(), false];
    const startedAt = lastAt;
    const opened = openSession(onnx, runtime).finally(() => (isOpen = true));
    while (!isOpen) {
      await nextTurn();
      const nowAt = performance.now();
      longestPauseMs = Math.max(longestPauseMs, nowAt - lastAt);
      lastAt = nowAt;
    }
    const ms = lastAt - startedAt;
    (await opened).release();
    if (ms < best.ms) best = { ms: Math.round(ms * 10) / 10, longestPauseMs: Math.round(longestPauseMs * 10) / 10 };
  }
  return best;
}
