/**
 * `npm run build && node bench/serving/stages.ts`: where the CPU time of a Predict goes, stage by stage, over libs/wire with everything on. Samples of V8's
 * profiler are laid on the stages by the file they are in; their shares are laid on the CPU time per request that the kernel counted. Writes `stages.json`.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '@headrace/base/random';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { machine, savePayload, stop } = (await import(new URL('../kit.ts', import.meta.url).href)) as typeof import('../kit.js');
const { denseRequests, load, openRig, rowsOf, saveModels, startServing } = (await import(
  new URL('./rig.ts', import.meta.url).href
)) as typeof import('./rig.js');
const { makeMlp } = (await import(new URL('./mlp.ts', import.meta.url).href)) as typeof import('./mlp.js');
const { makeTrees } = (await import(new URL('./trees.ts', import.meta.url).href)) as typeof import('./trees.js');

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    files: { type: 'boolean', default: false },
    callers: { type: 'string', default: '64' },
    connections: { type: 'string', default: '1' },
    rows: { type: 'string', default: '1' },
  },
});

/** The first that fits a frame, from the innermost frame outwards, names the stage of a sample. */
const STAGES: readonly (readonly [stage: string, frame: RegExp])[] = [
  ['gc', /^\(garbage collector\) /],
  ['write', /^(writeBuffer|writev) |(socket-output|socket-input|output-pool)\.js$/],
  ['headers', /(hpack-[a-z]+|header-[a-z-]+|request-head|response-head|response-fields|metadata)\.js$/],
  ['frames', /libs\/wire\/dist\//],
  ['prediction log', /(prediction-log|log-buffer|log-account|predictions-logged|prediction-ids)\.js$|kafka/],
  ['run', /(onnx-runtime|onnx-model|model-session|tree-[a-z]+)\.js$|onnxruntime|wasm:/],
  ['decode', /(predict-request|predict-column|reader|read-request|feature-block)\.js$/],
  ['encode', /(predict-response|writer|copy-bytes|utf8)\.js$/],
  ['features', /(look-up-features|entity-lookup|feature-blob|feature-key)\.js$|ioredis|redis/],
  ['batch', /services\/serving\/dist\/|libs\/executor\/dist\//],
  [
    'socket',
    / node:(net|internal\/stream_base_commons|stream|internal\/streams|internal\/timers|timers|events|internal\/process\/task_queues)/,
  ],
];

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

const random = seededRandom(7);
const row = rowsOf(random);
const rig = await openRig();
const results: Record<string, unknown>[] = [];
try {
  saveModels(join(rig.work, 'state'), { mlp: makeMlp(random), trees: makeTrees(random) }, row);
  for (const model of ['mlp', 'trees']) results.push(await measure(model));
} finally {
  await rig.close();
}
writeFileSync(
  join(import.meta.dirname, 'stages.json'),
  `${JSON.stringify({ date: new Date().toISOString(), machine: machine(), callers: Number(options.callers), connections: Number(options.connections), rows: Number(options.rows), results }, null, 2)}\n`,
);

async function measure(model: string): Promise<Record<string, unknown>> {
  const payload = join(rig.work, `${model}.bin`);
  savePayload(payload, denseRequests(model, row, Number(options.rows)));
  const profiles = join(rig.work, `profiles-${model}`);
  mkdirSync(profiles);
  const bornAt = performance.now();
  const server = await startServing(rig, model, {}, ['--cpu-prof', '--cpu-prof-dir', profiles, '--cpu-prof-interval', '250']);
  const path = '/headrace.serving.v1.Prediction/Predict';
  const wanted = { path, payload, callers: Number(options.callers), connections: Number(options.connections), timeoutMs: 1_000 };
  await load(rig, server, { ...wanted, seconds: 2 });
  const fromUs = (performance.now() - bornAt) * 1000;
  const figures = await load(rig, server, { ...wanted, seconds: Number(options.seconds) });
  await stop(server.child);
  const shares = sharesOf(join(profiles, readdirSync(profiles)[0]!), fromUs, fromUs + Number(options.seconds) * 1e6);
  const stages = Object.fromEntries(
    Object.entries(shares).map(([stage, share]) => [stage, Math.round(share * figures.serverCpuUs * 100) / 100]),
  );
  console.info(model, `${figures.serverCpuUs} us of CPU a request, with the profiler on:`, JSON.stringify(stages));
  return { model, requestsPerSecond: figures.requestsPerSecond, serverCpuUs: figures.serverCpuUs, cpuUsByStage: stages };
}

/** Share of the busy time of the event loop's thread by stage, from and to microseconds after its start; what no frame names is native code between turns: reads of sockets, timers, the loop itself. */
function sharesOf(file: string, fromUs: number, toUs: number): Record<string, number> {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as {
    nodes: readonly ProfileNode[];
    samples: readonly number[];
    timeDeltas: readonly number[];
  };
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)));
  const stages = new Map<number, string>();
  const spent = new Map<string, number>();
  const files = new Map<string, number>();
  let atUs = 0;
  profile.samples.forEach((id, at) => {
    atUs += profile.timeDeltas[at]!;
    if (atUs < fromUs || atUs > toUs) return;
    const stage = stages.get(id) ?? stageOf(id, nodes, parents);
    stages.set(id, stage);
    spent.set(stage, (spent.get(stage) ?? 0) + profile.timeDeltas[at]!);
    const { url, functionName } = nodes.get(id)!.callFrame;
    const key = `${stage}: ${functionName} ${url.replace(/.*\/(?=[^/]+\/[^/]+$)/, '')}`;
    files.set(key, (files.get(key) ?? 0) + profile.timeDeltas[at]!);
  });
  spent.delete('idle');
  const busy = [...spent.values()].reduce((sum, one) => sum + one, 0);
  if (options.files)
    for (const [key, us] of [...files].sort((a, b) => b[1] - a[1]).slice(0, 60)) console.info(`${((100 * us) / busy).toFixed(1)} % ${key}`);
  return Object.fromEntries([...spent].sort((a, b) => b[1] - a[1]).map(([stage, us]) => [stage, us / busy]));
}

function stageOf(leaf: number, nodes: ReadonlyMap<number, ProfileNode>, parents: ReadonlyMap<number, number>): string {
  const { functionName } = nodes.get(leaf)!.callFrame;
  if (functionName === '(idle)') return 'idle';
  for (let id: number | undefined = leaf; id !== undefined; id = parents.get(id)) {
    const { callFrame } = nodes.get(id)!;
    const frame = `${callFrame.functionName} ${callFrame.url}`;
    const found = STAGES.find(([, pattern]) => pattern.test(frame));
    if (found) return found[0];
  }
  return 'native, between turns';
}
