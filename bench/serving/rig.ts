/**
 * What the benches of serving share: the built service with real Redis and Kafka on core 0, models from a seed in its state folder, the load
 * generator of bench/wire on core 1, and servers that are loaded turn about.
 */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { startEngines, type RunningEngines } from '@headrace/engines/start-engines';
import { cleanEngines } from '@headrace/engines/stop-engines';
import type { BenchModel } from './onnx.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { FEATURES } = (await import(new URL('./onnx.ts', import.meta.url).href)) as typeof import('./onnx.js');

export const repository = join(import.meta.dirname, '../..');
export const cacheDir = join(repository, '.headrace/cache');
export const FIELDS = Array.from({ length: FEATURES }, (_, i) => ({ name: `f${i}`, type: 'float64' as const }));

export interface Rig {
  readonly work: string;
  readonly engines: RunningEngines;
  readonly loadgen: string;
  close(): Promise<void>;
}

export interface Server {
  readonly child: ChildProcess;
  readonly address: string;
}

export interface Load {
  readonly path: string;
  readonly payload: string;
  readonly callers: number;
  readonly connections: number;
  readonly seconds: number;
  /** Deadline of each call; default none. */
  readonly timeoutMs?: number;
}

export interface Figures {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
  /** All threads of the process. */
  readonly serverCpuUs: number;
  readonly rssMiB: number;
  /** Of the load generator: its core is the wall when this times the rate nears a second. */
  readonly clientCpuUs: number;
}

export async function openRig(): Promise<Rig> {
  const loadgen = join(buildRust(join(repository, 'bench/wire/loadgen'), 'wire-loadgen'), 'wire-loadgen');
  const work = mkdtempSync(join(tmpdir(), 'bench-serving-'));
  chmodSync(work, 0o755);
  const engines = await startEngines({ stateDir: join(work, 'engines'), cacheDir, durable: false, only: ['kafka', 'redis'] });
  const close = async (): Promise<void> => {
    await cleanEngines(join(work, 'engines'));
    rmSync(work, { recursive: true, force: true });
  };
  return { work, engines, loadgen, close };
}

/** cargo builds what is older than its source. @returns the folder of the programs. */
export function buildRust(source: string, cache: string): string {
  const target = join(cacheDir, cache);
  mkdirSync(target, { recursive: true });
  execFileSync('cargo', ['build', '--release', '--quiet', '-j', '1'], {
    cwd: source,
    env: { ...process.env, CARGO_TARGET_DIR: target },
    stdio: 'inherit',
  });
  return join(target, 'release');
}

/** What a former run of serving would have left in its state folder: with it the service needs no registry. */
export function saveModels(stateDir: string, models: Readonly<Record<string, BenchModel>>, row: () => number[]): void {
  mkdirSync(join(stateDir, 'serving/artifacts'), { recursive: true });
  const champions = Object.entries(models).map(([model, { onnx, predict }]) => {
    const sha256 = createHash('sha256').update(onnx).digest('hex');
    writeFileSync(join(stateDir, 'serving/artifacts', sha256), onnx);
    const golden = Array.from({ length: 3 }, row).map((values) => ({
      features: Object.fromEntries(values.map((v, i) => [`f${i}`, v])),
      label: predict(values) >= 0.5 ? 1 : 0,
      probability: predict(values),
    }));
    const features = FIELDS.map(({ name, type }) => ({ name, reference: `person:${name}`, type }));
    return {
      project: 'default',
      model,
      version: 1,
      artifactSha256: sha256,
      signature: { features, entityKeys: ['person_id'], threshold: 0.5, outputs: ['label', 'probabilities'] },
      golden: { rows: golden },
      missingFeatures: 'null',
      views: [{ name: 'person', entity: 'person', ttlMs: 0, fields: FIELDS }],
    };
  });
  writeFileSync(join(stateDir, 'serving/routing.json'), JSON.stringify({ format: 1, champions, pinned: [] }));
}

/** Many different requests, each behind its length: one repeated row flatters caches and branch prediction. */
export function savePayload(file: string, requests: readonly Uint8Array[]): void {
  const parts = requests.flatMap((body) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    return [length, body];
  });
  writeFileSync(file, Buffer.concat(parts));
}

export async function startServing(
  { work, engines }: Rig,
  name: string,
  env: NodeJS.ProcessEnv,
  nodeOptions: readonly string[] = [],
): Promise<Server> {
  const child = spawn('taskset', ['-c', '0', process.execPath, ...nodeOptions, join(repository, 'services/serving/dist/main.js')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      HEADRACE_HTTP_PORT: '0',
      HEADRACE_GRPC_PORT: '0',
      HEADRACE_LOG_LEVEL: 'error',
      HEADRACE_STATE: join(work, 'state'),
      HEADRACE_KAFKA_BROKERS: engines.kafkaBrokers.join(','),
      HEADRACE_REDIS_URL: engines.redisUrl,
      // A busy machine may stop Redis for longer than the default.
      HEADRACE_SERVING_REDIS_TIMEOUT_MS: '5000',
      // Nor may a pause of the machine look like a slow model, which would go on in a process of its own: the figures are of this process.
      HEADRACE_SERVING_INLINE_RUN_MS: '1000',
      HEADRACE_TOPIC_PREFIX: `bench-${name.replaceAll(/[^a-z]+/g, '-')}.`,
      ...env,
    },
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    const said = JSON.parse(line) as { ready?: string; grpc: string };
    if (said.ready === 'serving') return { child, address: said.grpc };
  }
  throw new Error(`serving (${name}) ended before it was ready`);
}

export async function stopServer({ child }: Server): Promise<void> {
  child.kill('SIGTERM');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

export async function load({ loadgen }: Pick<Rig, 'loadgen'>, { child, address }: Server, wanted: Load): Promise<Figures> {
  const { path, payload, callers, connections, seconds, timeoutMs } = wanted;
  const args = {
    addr: address,
    path,
    payload,
    c: callers,
    conns: connections,
    warm: 0.5,
    dur: seconds,
    runs: 1,
    pid: child.pid,
    timeout: timeoutMs ?? '',
  };
  const flags = Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { stdout } = await promisify(execFile)('taskset', ['-c', '1', loadgen, ...flags], { encoding: 'utf8' });
  const [requestsPerSecond = 0, p50Ms = 0, p99Ms = 0, errors = 0, serverCpuUs = 0, rssMiB = 0, clientCpuUs = 0] = stdout
    .trim()
    .split('\t')
    .map(Number);
  return { requestsPerSecond, p50Ms, p99Ms, errors, serverCpuUs, rssMiB, clientCpuUs };
}

/** Turn about, so that what else the machine does meets all; of each the median run by requests per second. */
export async function turnAbout(runs: number, calls: readonly (() => Promise<Figures>)[]): Promise<Figures[]> {
  const rounds: Figures[][] = [];
  for (let i = 0; i < runs; i++) {
    const round = [];
    for (const call of calls) round.push(await call());
    rounds.push(round);
  }
  return calls.map((_, at) => {
    const sorted = rounds.map((round) => round[at]!).sort((a, b) => a.requestsPerSecond - b.requestsPerSecond);
    return sorted[sorted.length >> 1]!;
  });
}

/** Times better: throughput up, the others down. */
export function compared(ours: Figures, other: Figures): Record<'throughput' | 'serverCpu' | 'p50' | 'p99', number> {
  const ratio = (a: number, b: number): number => Math.round((a / b) * 100) / 100;
  return {
    throughput: ratio(ours.requestsPerSecond, other.requestsPerSecond),
    serverCpu: ratio(other.serverCpuUs, ours.serverCpuUs),
    p50: ratio(other.p50Ms, ours.p50Ms),
    p99: ratio(other.p99Ms, ours.p99Ms),
  };
}

/** Of the machine, as it is after the runs. */
export function machine(): Record<string, unknown> {
  return {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadAverageAtEnd: loadavg()[0],
  };
}

/** Numbers in [0, 1) that repeat with their seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** One row of 30 features. */
export function rowsOf(random: () => number): () => number[] {
  return () => Array.from({ length: FEATURES }, () => Math.fround(random() * 4 - 2));
}
