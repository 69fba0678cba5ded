/**
 * `npm run build && node bench/serving/run.ts`: the built serving service over libs/wire against the same service over grpc-js, and with traces on. Real Redis and Kafka,
 * prediction log, metrics and admission on. Prints the figures and the ratios, and writes `results.json` beside this file with machine and date.
 */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs, promisify } from 'node:util';
import { compileBlobSchema, encodeBlob } from '@headrace/codec/feature-blob';
import { joinEntityKey, onlineKey } from '@headrace/codec/feature-key';
import { encodePredictRequest, type PredictRequestInput } from '@headrace/codec/predict-request';
import { ProtoWriter } from '@headrace/codec/writer';
import { startEngines } from '@headrace/engines/start-engines';
import { cleanEngines } from '@headrace/engines/stop-engines';
import { Redis } from 'ioredis';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { FEATURES, makeMlp } = (await import(new URL('./model.ts', import.meta.url).href)) as typeof import('./model.js');

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    callers: { type: 'string', default: '64' },
    profile: { type: 'string', default: '' },
  },
});
const here = import.meta.dirname;
const repository = join(here, '../..');
const loadgenCache = join(repository, '.headrace/cache/wire-loadgen');
const loadgen = join(loadgenCache, 'release/wire-loadgen');
const ENTITIES = 512;
/** With traces: every trace is sampled and sent to a collector of ours that throws them away. */
const SERVERS = ['wire', 'wire with traces', 'grpc-js'] as const;
const KINDS = ['dense', 'entity'] as const;

interface Row {
  readonly server: (typeof SERVERS)[number];
  readonly kind: (typeof KINDS)[number];
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
  readonly serverCpuUs: number;
  readonly rssMiB: number;
  /** Of the load generator: its core is the wall when this times the rate nears a second. */
  readonly clientCpuUs: number;
}

if (!existsSync(loadgen)) {
  mkdirSync(loadgenCache, { recursive: true });
  execFileSync('cargo', ['build', '--release', '-j', '1'], {
    cwd: join(here, '../wire/loadgen'),
    env: { ...process.env, CARGO_TARGET_DIR: loadgenCache },
    stdio: 'inherit',
  });
}
const work = mkdtempSync(join(tmpdir(), 'bench-serving-'));
chmodSync(work, 0o755);
const random = seeded(7);
const row = (): number[] => Array.from({ length: FEATURES }, () => Math.fround(random() * 4 - 2));
const engines = await startEngines({
  stateDir: join(work, 'engines'),
  cacheDir: join(repository, '.headrace/cache'),
  durable: false,
  only: ['kafka', 'redis'],
});
const collector = await startCollector();
const rows: Row[] = [];
try {
  saveModel(join(work, 'state'));
  await fillRedis();
  for (const kind of KINDS) writeFileSync(payloadOf(kind), payload(kind));
  const servers = [];
  for (const server of SERVERS) servers.push({ server, ...(await startServing(server)) });
  for (const running of servers) for (const kind of KINDS) await load(kind, running, 3);
  for (const kind of KINDS) rows.push(...(await compare(kind, servers)));
  for (const { child } of servers) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
} finally {
  collector.server.close();
  await cleanEngines(join(work, 'engines'));
  rmSync(work, { recursive: true, force: true });
}
report();

/** Takes what an OTLP exporter sends and drops it. */
async function startCollector(): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => request.resume().on('end', () => response.end()));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** What a former run of serving would have left in its state folder: with it the service needs no registry. */
function saveModel(stateDir: string): void {
  const { onnx, predict } = makeMlp(random);
  const sha256 = createHash('sha256').update(onnx).digest('hex');
  const golden = {
    rows: Array.from({ length: 3 }, row).map((values) => ({
      features: Object.fromEntries(values.map((v, i) => [`f${i}`, v])),
      label: predict(values) >= 0.5 ? 1 : 0,
      probability: predict(values),
    })),
  };
  const features = Array.from({ length: FEATURES }, (_, i) => ({ name: `f${i}`, reference: `person:f${i}`, type: 'float64' }));
  const signature = { features, entityKeys: ['person_id'], threshold: 0.5, outputs: ['label', 'probabilities'] };
  const champion = {
    project: 'default',
    model: 'mlp',
    version: 1,
    artifactSha256: sha256,
    signature,
    golden,
    missingFeatures: 'null',
    views: [{ name: 'person', entity: 'person', ttlMs: 0, fields: fields() }],
  };
  mkdirSync(join(stateDir, 'serving/artifacts'), { recursive: true });
  writeFileSync(join(stateDir, 'serving/artifacts', sha256), onnx);
  writeFileSync(join(stateDir, 'serving/routing.json'), JSON.stringify({ format: 1, champions: [champion], pinned: [] }));
}

function fields(): { name: string; type: 'float64' }[] {
  return Array.from({ length: FEATURES }, (_, i) => ({ name: `f${i}`, type: 'float64' }));
}

async function fillRedis(): Promise<void> {
  const redis = new Redis(engines.redisUrl);
  const schema = compileBlobSchema(fields());
  const stamp = { eventTimeMs: Date.now(), ingestTimeMs: Date.now(), tieBreak: 0 };
  for (let i = 0; i < ENTITIES; i++)
    await redis.set(onlineKey('default', 'person', joinEntityKey([`e${i}`]), 'person'), encodeBlob(schema, row(), stamp));
  await redis.quit();
}

function payloadOf(kind: string): string {
  return join(work, `${kind}.bin`);
}

/** 512 different requests, each behind its length: one repeated row flatters caches and branch prediction. */
function payload(kind: (typeof KINDS)[number]): Buffer {
  const writer = new ProtoWriter();
  const parts = Array.from({ length: ENTITIES }, (_, i) => {
    const rest = kind === 'dense' ? { entities: [], dense: Float32Array.from(row()) } : { entities: [`e${i}`], dense: new Float32Array(0) };
    const request: PredictRequestInput = { project: '', model: 'mlp', version: 0, columns: [], predictionId: '', ...rest };
    encodePredictRequest(request, writer.reset());
    const body = Buffer.from(writer.finish());
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    return Buffer.concat([length, body]);
  });
  return Buffer.concat(parts);
}

async function startServing(server: (typeof SERVERS)[number]): Promise<{ child: ChildProcess; grpc: string }> {
  const profile = options.profile === '' ? [] : ['--cpu-prof', '--cpu-prof-dir', join(options.profile, server)];
  const child = spawn('taskset', ['-c', '0', process.execPath, ...profile, join(repository, 'services/serving/dist/main.js')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      HEADRACE_GRPC_TRANSPORT: server === 'grpc-js' ? 'grpc-js' : 'wire',
      ...(server === 'wire with traces' ? { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, HEADRACE_TRACE_SAMPLE_RATIO: '1' } : {}),
      HEADRACE_HTTP_PORT: '0',
      HEADRACE_GRPC_PORT: '0',
      HEADRACE_LOG_LEVEL: 'error',
      HEADRACE_STATE: join(work, 'state'),
      HEADRACE_KAFKA_BROKERS: engines.kafkaBrokers.join(','),
      HEADRACE_REDIS_URL: engines.redisUrl,
      // A busy machine may stop Redis for longer than the default.
      HEADRACE_SERVING_REDIS_TIMEOUT_MS: '5000',
      HEADRACE_TOPIC_PREFIX: `bench-${SERVERS.indexOf(server)}.`,
    },
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    const said = JSON.parse(line) as { ready?: string; grpc: string };
    if (said.ready === 'serving') return { child, grpc: said.grpc };
  }
  throw new Error(`serving over ${server} ended before it was ready`);
}

interface Running {
  readonly server: Row['server'];
  readonly child: ChildProcess;
  readonly grpc: string;
}

/** Turn about, so that what else the machine does meets both; of each the median run by requests per second. */
async function compare(kind: Row['kind'], servers: readonly Running[]): Promise<Row[]> {
  const rounds: number[][][] = [];
  for (let i = 0; i < Number(options.runs); i++) {
    const round = [];
    for (const server of servers) round.push(await load(kind, server, Number(options.seconds)));
    rounds.push(round);
  }
  return servers.map(({ server }, i) => {
    const runs = rounds.map((round) => round[i]!).sort((a, b) => a[0]! - b[0]!);
    const [requestsPerSecond, p50Ms, p99Ms, errors, serverCpuUs, rssMiB, clientCpuUs] = runs[runs.length >> 1]! as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    return { server, kind, requestsPerSecond, p50Ms, p99Ms, errors, serverCpuUs, rssMiB, clientCpuUs };
  });
}

async function load(kind: Row['kind'], { child, grpc }: Running, seconds: number): Promise<number[]> {
  const args = [
    '-c',
    '1',
    loadgen,
    '--addr',
    grpc,
    '--path',
    '/headrace.serving.v1.Prediction/Predict',
    '--payload',
    payloadOf(kind),
    '--c',
    options.callers,
    '--conns',
    '1',
    '--warm',
    '0.5',
    '--dur',
    String(seconds),
    '--runs',
    '1',
    '--pid',
    String(child.pid),
  ];
  const { stdout } = await promisify(execFile)('taskset', args, { encoding: 'utf8' });
  return stdout.trim().split('\t').map(Number);
}

function report(): void {
  const pairs = [
    ['wire', 'grpc-js'],
    ['wire', 'wire with traces'],
  ] as const;
  const ratios = pairs.flatMap(([ours, other]) => KINDS.map((kind) => ({ ours, other, kind, ...compared(kind, ours, other) })));
  for (const measured of rows) console.info(JSON.stringify(measured));
  console.info(`the first against the second, times better, ${options.callers} in flight on one connection`);
  for (const line of ratios) console.info(JSON.stringify(line));
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadAverageAtEnd: loadavg()[0],
  };
  writeFileSync(
    join(here, 'results.json'),
    `${JSON.stringify({ date: new Date().toISOString(), machine, callers: Number(options.callers), seconds: Number(options.seconds), runs: Number(options.runs), rows, ratios }, null, 2)}\n`,
  );
}

function compared(kind: Row['kind'], ...pair: readonly [Row['server'], Row['server']]): Record<string, number> {
  const [ours, other] = pair.map((server) => rows.find((r) => r.server === server && r.kind === kind)!) as [Row, Row];
  return {
    throughput: ratio(ours.requestsPerSecond, other.requestsPerSecond),
    serverCpu: ratio(other.serverCpuUs, ours.serverCpuUs),
    p50: ratio(other.p50Ms, ours.p50Ms),
    p99: ratio(other.p99Ms, ours.p99Ms),
  };
}

function ratio(a: number, b: number): number {
  return Math.round((a / b) * 100) / 100;
}

/** Numbers in [0, 1) that repeat with their seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
