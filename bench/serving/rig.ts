/**
 * What the benches of serving share: the built service on core 0, real Redis and Kafka on core 1, models from a seed in its state folder, the load
 * generator of bench/wire on core 1, and servers that are loaded turn about.
 */
import { execFile, execFileSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { encodePredictRequest } from '@headrace/codec/predict-request';
import { ProtoWriter } from '@headrace/codec/writer';
import { parsePeerAddress } from '@headrace/base/peer-address';
import { LOW_LATENCY_NODE_OPTIONS } from '@headrace/platform/processes/node-options';
import { startEngines, type RunningEngines } from '@headrace/engines/start-engines';
import { cleanEngines } from '@headrace/engines/stop-engines';
import type { Figures } from '../kit.js';
import type { BenchModel } from './onnx.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { buildLoadgen, cacheDir, figuresOf, medianOf, ratio, startService } = (await import(
  new URL('../kit.ts', import.meta.url).href
)) as typeof import('../kit.js');
const { FEATURES } = (await import(new URL('./onnx.ts', import.meta.url).href)) as typeof import('./onnx.js');

export const FIELDS = Array.from({ length: FEATURES }, (_, i) => ({ name: `f${i}`, type: 'float64' as const }));

export interface Rig {
  readonly work: string;
  readonly engines: RunningEngines;
  readonly loadgen: string;
  close(): Promise<void>;
}

export interface Server {
  readonly child: ChildProcess;
  /** `host:port` */
  readonly address: string;
  /** File of the authority, where the server speaks TLS. */
  readonly ca?: string;
}

export interface Load {
  readonly path: string;
  readonly payload: string;
  readonly callers: number;
  readonly connections: number;
  readonly seconds: number;
  /** Deadline of each call; default none. */
  readonly timeoutMs?: number;
  /** JSON over HTTP/1.1 instead of gRPC. */
  readonly isHttp?: boolean;
}

export async function openRig(): Promise<Rig> {
  const loadgen = buildLoadgen();
  const work = mkdtempSync(join(tmpdir(), 'bench-serving-'));
  chmodSync(work, 0o755);
  const engines = await startEngines({ stateDir: join(work, 'engines'), cacheDir, durable: false, only: ['kafka', 'redis'] });
  // The servers' core is theirs alone, as it is that of the peers, which have no engines.
  for (const { pid } of engines.processes) execFileSync('taskset', ['-a', '-c', '-p', '1', String(pid)]);
  const close = async (): Promise<void> => {
    await cleanEngines(join(work, 'engines'));
    rmSync(work, { recursive: true, force: true });
  };
  return { work, engines, loadgen, close };
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
      personal: [],
      views: [{ name: 'person', entity: 'person', ttlMs: 0, fields: FIELDS }],
    };
  });
  writeFileSync(join(stateDir, 'serving/routing.json'), JSON.stringify({ format: 1, champions, pinned: [] }));
}

export async function startServing(
  { work, engines }: Rig,
  name: string,
  env: NodeJS.ProcessEnv,
  nodeOptions: readonly string[] = [],
): Promise<Server> {
  const { child, grpc } = await startService('serving', {
    core: 0,
    nodeOptions: [...LOW_LATENCY_NODE_OPTIONS, ...nodeOptions],
    env: {
      HEADRACE_LOG_LEVEL: 'error',
      HEADRACE_STATE: join(work, 'state'),
      HEADRACE_KAFKA_BROKERS: engines.kafkaBrokers.join(','),
      HEADRACE_REDIS_URL: engines.redisUrl,
      // A busy machine may stop Redis for longer than the default.
      HEADRACE_SERVING_REDIS_TIMEOUT_MS: '5000',
      HEADRACE_TOPIC_PREFIX: `bench-${name.replaceAll(/[^a-z]+/g, '-')}.`,
      ...env,
    },
  });
  const ca = env['HEADRACE_TLS_CA_FILE'];
  return { child, address: parsePeerAddress(grpc).target, ...(ca ? { ca } : {}) };
}

export async function load({ loadgen }: Pick<Rig, 'loadgen'>, { child, address, ca }: Server, wanted: Load): Promise<Figures> {
  const { path, payload, callers, connections, seconds, timeoutMs, isHttp = false } = wanted;
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
    http: isHttp ? 1 : 0,
    ca: ca ?? '',
  };
  const flags = Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { stdout } = await promisify(execFile)('taskset', ['-c', '1', loadgen, ...flags], { encoding: 'utf8' });
  return figuresOf(stdout);
}

/**
 * Turn about, so that what else the machine does meets all; of each the median run by requests per second. Each round begins with another and every other one goes
 * backwards, so that nobody always works behind the same neighbour, whose last work may still be under way.
 */
export async function turnAbout(runs: number, calls: readonly (() => Promise<Figures>)[]): Promise<Figures[]> {
  const rounds: Figures[][] = [];
  for (let i = 0; i < runs; i++) {
    const round: Figures[] = [];
    for (let k = 0; k < calls.length; k++) {
      const step = (Math.floor((i * calls.length) / runs) + k) % calls.length;
      const at = i % 2 === 0 ? step : calls.length - 1 - step;
      round[at] = await calls[at]!();
    }
    rounds.push(round);
  }
  return calls.map((_, at) => medianOf(rounds.map((round) => round[at]!))!);
}

/** Times better: throughput up, the others down. */
export function compared(ours: Figures, other: Figures): Record<'throughput' | 'serverCpu' | 'p50' | 'p99', number> {
  return {
    throughput: ratio(ours.requestsPerSecond, other.requestsPerSecond),
    serverCpu: ratio(other.serverCpuUs, ours.serverCpuUs),
    p50: ratio(other.p50Ms, ours.p50Ms),
    p99: ratio(other.p99Ms, ours.p99Ms),
  };
}

/** One row of 30 features. */
export function rowsOf(random: () => number): () => number[] {
  return () => Array.from({ length: FEATURES }, () => Math.fround(random() * 4 - 2));
}

/** Many different Predict requests of so many dense rows each. */
export function denseRequests(model: string, row: () => number[], rows = 1): Uint8Array[] {
  const writer = new ProtoWriter();
  return Array.from({ length: 512 }, () => {
    const dense = Float32Array.from(Array.from({ length: rows }, row).flat());
    encodePredictRequest({ model, dense }, writer.reset());
    return Buffer.from(writer.finish());
  });
}
