/**
 * `npm run build && node bench/serving/peers.ts`: our serving service, everything on, against servers that do nothing but predict: Rust's tonic, Rust's h2 with
 * batching, Triton, MLServer, BentoML, and our own service over grpc-js. Same models, same load generator, each server on core 0 alone while it is loaded. Prints
 * figures and ratios, and writes `peers.json` beside this file with machine and date. A peer that this machine cannot have is named and left out.
 */
import { execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sleep } from '@headrace/base/clock';
import { messageOf } from '@headrace/base/errors';
import { seededRandom } from '@headrace/base/random';
import { freePort } from '@headrace/engines/free-port';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { Figures } from '../kit.js';
import type { Server } from './rig.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { buildRust, listening, machine, repository, savePayload, stop } = (await import(
  new URL('../kit.ts', import.meta.url).href
)) as typeof import('../kit.js');
const { compared, denseRequests, load, openRig, rowsOf, saveModels, startServing, turnAbout } = (await import(
  new URL('./rig.ts', import.meta.url).href
)) as typeof import('./rig.js');
const { signalTree, startBentoml, startMlserver, startTriton } = (await import(
  new URL('./python-peers.ts', import.meta.url).href
)) as typeof import('./python-peers.js');
const { makeMlp } = (await import(new URL('./mlp.ts', import.meta.url).href)) as typeof import('./mlp.js');
const { makeTrees } = (await import(new URL('./trees.ts', import.meta.url).href)) as typeof import('./trees.js');

const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '2' }, runs: { type: 'string', default: '5' }, only: { type: 'string', default: '' } },
});
/** Of peers that are ten times slower, and more: there a tenth more or less says nothing. */
const FAR_RUNS = 3;
const REQUESTS = 512;
/** With 64 in flight all servers are asked; the rest is between ours and tonic. */
const SHAPES = [
  { callers: 64, connections: 1, rows: 1, all: true },
  { callers: 64, connections: 64, rows: 1, all: true },
  { callers: 16, connections: 1, rows: 1, all: false },
  { callers: 1, connections: 1, rows: 1, all: false },
  { callers: 16, connections: 1, rows: 32, all: false },
] as const;
type Shape = (typeof SHAPES)[number];
const MODELS = ['trees', 'mlp'] as const;
type Model = (typeof MODELS)[number];

/** How a server is asked: our message, the peers' small one, the Open Inference Protocol, or JSON over HTTP/1.1, where each caller has a connection. */
const DIALECTS = {
  headrace: '/headrace.serving.v1.Prediction/Predict',
  bench: '/bench.Predictor/Predict',
  inference: '/inference.GRPCInferenceService/ModelInfer',
  json: '/predict',
} as const;

interface Candidate {
  readonly name: string;
  readonly dialect: keyof typeof DIALECTS;
  /** Deadline of each call. */
  readonly timeoutMs?: number;
  /** It differs from the others of ours by this model alone; default: it is asked with each. */
  readonly only?: Model;
  /** Ten times slower, and more: started and asked when the others are done, because an idle server, too, takes from the core that all share. */
  readonly isFar?: boolean;
  /** Instead of the dialect's. */
  readonly path?: string;
  /** One server for all models, or one each. @throws Error when this machine cannot have it */
  start(model: Model): Promise<Server>;
}

/** Of a peer that was left out. */
const NOTHING: Figures = { requestsPerSecond: 0, p50Ms: 0, p99Ms: 0, errors: 0, serverCpuUs: 0, rssMiB: 0, clientCpuUs: 0 };
const ORT_LIBRARY = join(repository, 'node_modules/onnxruntime-node/bin/napi-v6', process.platform, process.arch, 'libonnxruntime.so.1');

const random = seededRandom(7);
const row = rowsOf(random);
const models = { trees: makeTrees(random), mlp: makeMlp(random) };
const rig = await openRig();
const started = new Map<string, Promise<Server>>();
const restarted = new Set<string>();
/** From the failure of a call to the end of its server. */
const DYING_MS = 2_000;
const ours = (name: string, env: NodeJS.ProcessEnv = {}): Promise<Server> => once(name, () => startServing(rig, name, env));
const ALL: readonly Candidate[] = [
  { name: 'headrace', dialect: 'headrace', timeoutMs: 1_000, start: () => ours('headrace') },
  { name: 'headrace, no deadlines', dialect: 'headrace', start: () => ours('headrace') },
  {
    name: 'headrace, no prediction log',
    dialect: 'headrace',
    timeoutMs: 1_000,
    start: () => ours('no-log', { HEADRACE_PREDICTION_LOG_SAMPLE_RATE: '0' }),
  },
  {
    name: 'headrace, trees in ONNX Runtime',
    dialect: 'headrace',
    timeoutMs: 1_000,
    only: 'trees',
    start: () => ours('trees-in-onnxruntime', { HEADRACE_SERVING_TREES: 'onnxruntime' }),
  },
  {
    name: 'headrace over grpc-js',
    dialect: 'headrace',
    timeoutMs: 1_000,
    isFar: true,
    start: () => ours('grpc-js', { HEADRACE_GRPC_TRANSPORT: 'grpc-js' }),
  },
  { name: 'rust tonic', dialect: 'bench', start: (model) => rust('tonic_server', model) },
  { name: 'rust h2, batching', dialect: 'bench', start: (model) => rust('h2_server', model) },
  { name: 'triton, python backend', dialect: 'inference', isFar: true, start: () => once('triton', () => startTriton(rig, MODELS)) },
  { name: 'mlserver', dialect: 'inference', isFar: true, start: () => once('mlserver', () => startMlserver(rig, MODELS)) },
  { name: 'bentoml', dialect: 'json', isFar: true, start: (model) => once(`bentoml ${model}`, () => startBentoml(rig, model)) },
  {
    name: 'bentoml, batching',
    dialect: 'json',
    isFar: true,
    path: '/predict_together',
    start: (model) => once(`bentoml ${model}`, () => startBentoml(rig, model)),
  },
];
const ONLY = options.only.split(',').map((name) => name.trim());
/** Asked for, and not yet left out. */
let candidates = ALL.filter(({ name }) => name === 'headrace' || ONLY.some((part) => name.includes(part)));
const leftOut: { readonly name: string; readonly reason: string }[] = [];

interface Result extends Figures {
  readonly name: string;
  readonly model: Model;
  readonly callers: number;
  readonly connections: number;
  readonly rows: number;
}
const results: Result[] = [];
const limits: { readonly model: Model; readonly rows: number; readonly rowsPerSecond: number }[] = [];
try {
  saveModels(join(rig.work, 'state'), models, row);
  for (const model of MODELS) writeFileSync(join(rig.work, `${model}.onnx`), models[model].onnx);
  const values = Float32Array.from(Array.from({ length: 4096 }, row).flat());
  writeFileSync(join(rig.work, 'values.f32'), new Uint8Array(values.buffer));
  for (const model of MODELS)
    for (const dialect of Object.keys(DIALECTS))
      for (const rows of [1, 32]) savePayload(payloadOf(model, dialect, rows), requests(model, dialect, rows));
  await measureAll(({ isFar = false }) => !isFar, Number(options.runs));
  for (const model of MODELS) {
    try {
      limits.push({ model, rows: 32, rowsPerSecond: limit(model, 32) });
      console.info('ONNX Runtime alone', JSON.stringify(limits.at(-1)));
    } catch (error) {
      leaveOut(`ONNX Runtime alone, ${model}`, error);
    }
  }
  await measureAll(({ isFar = false }) => isFar, Math.min(FAR_RUNS, Number(options.runs)));
} finally {
  for (const server of await Promise.allSettled(started.values())) {
    if (server.status === 'rejected') continue;
    const { child } = server.value;
    signalTree(child.pid!, 'SIGCONT');
    await stop(child);
  }
  await rig.close();
}
report();

/** All shapes with each model, turn about among those that are picked. */
async function measureAll(isPicked: (candidate: Candidate) => boolean, runs: number): Promise<void> {
  for (const model of MODELS) {
    const isIn = (candidate: Candidate): boolean => isPicked(candidate) && (candidate.only ?? model) === model;
    // V8 marks its heap again and again until its limits have grown with the load: some eight seconds.
    for (const candidate of candidates.filter(isIn))
      await measureOrLeaveOut(candidate, model, SHAPES[0], candidate.dialect === 'headrace' ? 8 : 2);
    for (const shape of SHAPES) {
      const asked = candidates.filter(
        (candidate) => isIn(candidate) && (shape.all || /^(headrace|headrace, trees in ONNX Runtime|rust tonic)$/.test(candidate.name)),
      );
      const calls = asked.map((candidate) => () => measureOrLeaveOut(candidate, model, shape, Number(options.seconds)));
      const figures = await turnAbout(runs, calls);
      figures.forEach((one, i) => {
        if (!candidates.includes(asked[i]!)) return;
        const { callers, connections, rows } = shape;
        results.push({ name: asked[i]!.name, model, callers, connections, rows, ...one });
        console.info(JSON.stringify(results.at(-1)));
      });
    }
  }
}

function once(name: string, start: () => Promise<Server>): Promise<Server> {
  const running = started.get(name) ?? start();
  started.set(name, running);
  return running;
}

function payloadOf(model: Model, dialect: string, rows: number): string {
  return join(rig.work, `${model}.${dialect}.${rows}.bin`);
}

function requests(model: Model, dialect: string, rows: number): Uint8Array[] {
  if (dialect === 'headrace') return denseRequests(model, row, rows);
  return Array.from({ length: REQUESTS }, (_, i) => {
    const values = Float32Array.from(Array.from({ length: rows }, row).flat());
    const raw = new Uint8Array(values.buffer);
    if (dialect === 'json') return Buffer.from(JSON.stringify({ features: rowsIn(values, rows) }));
    if (dialect === 'bench')
      return new BinaryWriter()
        .uint32(10)
        .string(model)
        .uint32(18)
        .bytes(raw)
        .uint32(24)
        .uint32(rows)
        .uint32(34)
        .string(`user-${i}`)
        .finish();
    // ModelInferRequest { model_name 1, inputs 5 { name 1, datatype 2, shape 3 }, raw_input_contents 7 }
    const shape = new BinaryWriter()
      .int64(rows)
      .int64(values.length / rows)
      .finish();
    const input = new BinaryWriter().uint32(10).string('features').uint32(18).string('FP32').uint32(26).bytes(shape).finish();
    return new BinaryWriter().uint32(10).string(model).uint32(42).bytes(input).uint32(58).bytes(raw).finish();
  });
}

function rowsIn(values: Float32Array, rows: number): number[][] {
  const width = values.length / rows;
  return Array.from({ length: rows }, (_, i) => [...values.subarray(i * width, (i + 1) * width)]);
}

/** Starts it, too, the first time, and once more when it dies (Triton's Python backend does, rarely, when it was stopped). A peer that cannot be had, or fails again, is left out from here on. @throws Error when it is our own service */
async function measureOrLeaveOut(candidate: Candidate, model: Model, shape: Shape, seconds: number): Promise<Figures> {
  if (!candidates.includes(candidate)) return NOTHING;
  try {
    const figures = await measure(candidate, model, shape, seconds);
    if (figures.requestsPerSecond === 0) throw new Error(`none of its requests was answered, ${figures.errors} failed`);
    return figures;
  } catch (error) {
    if (candidate.dialect === 'headrace') throw error;
    if (await forgetDead()) return measureOrLeaveOut(candidate, model, shape, seconds);
    leaveOut(candidate.name, error);
    candidates = candidates.filter((one) => one !== candidate);
    return NOTHING;
  }
}

/** Those that died are started anew when they are asked for, once each. @returns whether there was one */
async function forgetDead(): Promise<boolean> {
  let found = false;
  await sleep(DYING_MS);
  for (const [name, start] of started) {
    const server = await start.catch(() => undefined);
    if (!server || restarted.has(name) || (server.child.exitCode === null && server.child.signalCode === null)) continue;
    restarted.add(name);
    started.delete(name);
    console.info(`${name} died and is started again`);
    found = true;
  }
  return found;
}

function leaveOut(name: string, error: unknown): void {
  leftOut.push({ name, reason: messageOf(error) });
  console.info(`${name} is left out: ${messageOf(error)}`);
}

async function measure({ dialect, path, timeoutMs, start }: Candidate, model: Model, shape: Shape, seconds: number): Promise<Figures> {
  const { callers, connections, rows } = shape;
  const deadline = timeoutMs === undefined ? {} : { timeoutMs };
  const how = { path: path ?? DIALECTS[dialect], isHttp: dialect === 'json', payload: payloadOf(model, dialect, rows) };
  const wanted = { ...how, callers, connections, seconds, ...deadline };
  const server = await start(model);
  if (dialect !== 'inference' && dialect !== 'json') return load(rig, server, wanted);
  signalTree(server.child.pid!, 'SIGCONT');
  try {
    return await load(rig, server, wanted);
  } finally {
    signalTree(server.child.pid!, 'SIGSTOP');
  }
}

/** Rows per second of ONNX Runtime alone, on the servers' core. */
function limit(model: Model, rows: number): number {
  const args = ['--model', join(rig.work, `${model}.onnx`), '--values', join(rig.work, 'values.f32'), '--rows', String(rows)];
  const env = { ...process.env, ORT_DYLIB_PATH: ORT_LIBRARY };
  return Number(execFileSync('taskset', ['-c', '0', join(rustBin(), 'ort_loop'), ...args], { env, encoding: 'utf8' }));
}

/** Built at the first call, if this machine has what that takes. */
function rustBin(): string {
  return buildRust(join(import.meta.dirname, 'peers'), 'serving-peers');
}

function rust(program: string, model: Model): Promise<Server> {
  return once(`${program} ${model}`, async () => {
    const address = `127.0.0.1:${await freePort()}`;
    const args = ['-c', '0', join(rustBin(), program), '--addr', address, '--model', join(rig.work, `${model}.onnx`)];
    const child = spawn('taskset', args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ORT_DYLIB_PATH: ORT_LIBRARY } });
    await listening(child, address);
    return { child, address };
  });
}

function report(): void {
  const ratios = results
    .filter(({ name }) => name !== 'headrace')
    .map((other) => {
      const { name, model, callers, connections, rows } = other;
      const isAlike = (one: Result): boolean =>
        one.model === model && one.callers === callers && one.connections === connections && one.rows === rows;
      const mine = results.find((one) => one.name === 'headrace' && isAlike(one))!;
      return { other: name, model, callers, connections, rows, ...compared(mine, other) };
    });
  console.info('headrace (deadlines, metrics, admission and prediction log on) against each, times better');
  for (const line of ratios) console.info(JSON.stringify(line));
  if (options.only !== '') return;
  const setting = { seconds: Number(options.seconds), runs: Number(options.runs) };
  writeFileSync(
    join(import.meta.dirname, 'peers.json'),
    `${JSON.stringify({ date: new Date().toISOString(), machine: machine(), ...setting, results, limits, ratios, leftOut }, null, 2)}\n`,
  );
}
