/**
 * `npm run build && node bench/feature-store/online/run.ts`: online reads of the built feature store, over libs/wire against grpc-js, in the shapes
 * of the research's Feast figures. README.md beside this file says how it is measured.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { seededRandom } from '@headrace/base/random';
import { compileBlobSchema, encodeBlob } from '@headrace/codec/feature-blob';
import { joinEntityKey, onlineKey } from '@headrace/codec/feature-key';
import { FeatureStoreDefinition, GetOnlineFeaturesRequest, type Definition } from '@headrace/contracts/features/v1/features';
import { parseDefinitionsFile } from '@headrace/definitions/yaml-file';
import { startEngines } from '@headrace/engines/start-engines';
import { cleanEngines } from '@headrace/engines/stop-engines';
import { createClient } from '@headrace/platform/grpc/client';
import { Redis } from 'ioredis';
import pg from 'pg';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    profile: { type: 'string', default: '' },
    transports: { type: 'string', default: 'wire,grpc-js' },
  },
});
const here = import.meta.dirname;
const repository = join(here, '../../..');
const loadgenCache = join(repository, '.headrace/cache/wire-loadgen');
const loadgen = join(loadgenCache, 'release/wire-loadgen');
const FEATURES = 50;
const ENTITIES = 20_000;
/** Requests that are cycled: one repeated request flatters caches. */
const REQUESTS = 512;
const transports = options.transports.split(',');

/** Feast 0.67 over gRPC and Redis on this kind of machine, requests/s: research of 2026-11-21, 8 and 4 callers (its best rates). */
const SHAPES = [
  { name: '1 entity x 50 features', entities: 1, callers: 64, feast: 885 },
  { name: '100 entities x 50 features', entities: 100, callers: 8, feast: 44 },
] as const;

interface Row {
  readonly shape: string;
  readonly transport: string;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
  readonly serverCpuUs: number;
  readonly rssMiB: number;
  /** Of the load generator: its core is the wall when this times the rate nears a second. */
  readonly clientCpuUs: number;
  readonly timesFeast: number;
}

if (!existsSync(loadgen)) {
  mkdirSync(loadgenCache, { recursive: true });
  const env = { ...process.env, CARGO_TARGET_DIR: loadgenCache };
  execFileSync('cargo', ['build', '--release', '-j', '1'], { cwd: join(repository, 'bench/wire/loadgen'), env, stdio: 'inherit' });
}
const work = mkdtempSync(join(tmpdir(), 'bench-online-'));
chmodSync(work, 0o755); // Postgres runs as another user when we are root
const random = seededRandom(7);
const engines = await startEngines({ stateDir: join(work, 'engines'), cacheDir: join(repository, '.headrace/cache'), durable: false });
const rows: Row[] = [];
try {
  const postgresUrl = await makeDatabase();
  for (const shape of SHAPES) writeFileSync(payloadOf(shape.entities), payload(shape.entities));
  const servers = [];
  for (const transport of transports) servers.push({ transport, ...(await startService(transport, postgresUrl)) });
  await fill(servers[0]!.grpc);
  for (const server of servers) await check(server.grpc);
  for (const shape of SHAPES) rows.push(...compare(shape, servers));
  for (const { child } of servers) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
} finally {
  await cleanEngines(join(work, 'engines'));
  rmSync(work, { recursive: true, force: true });
}
report();

async function makeDatabase(): Promise<string> {
  const client = new pg.Client({ connectionString: engines.postgresUrl });
  await client.connect();
  await client.query('CREATE DATABASE bench_online');
  await client.end();
  const url = new URL(engines.postgresUrl);
  url.pathname = '/bench_online';
  return url.href;
}

function definitions(): Definition[] {
  const features = Array.from({ length: FEATURES }, (_, i) => `  - { name: f${i}, type: float64 }`).join('\n');
  const yaml = `kind: Entity\nname: driver\njoinKeys: [driver_id]\n---\nkind: FeatureView\nname: fv50\nentity: driver\nttl: 3650d\nfeatures:\n${features}\n`;
  return parseDefinitionsFile(yaml, 'bench.yaml').map(({ kind, name, spec }) => ({
    kind,
    name,
    spec: JSON.parse(JSON.stringify(spec)) as Definition['spec'],
  }));
}

/** The rows go straight to Redis, in the layout that ingest writes: reading is what is measured. */
async function fill(grpc: string): Promise<void> {
  const client = createClient(FeatureStoreDefinition, grpc);
  await client.apply({ definitions: definitions() });
  client.close();
  const redis = new Redis(engines.redisUrl, { enableAutoPipelining: true });
  const schema = compileBlobSchema(Array.from({ length: FEATURES }, (_, i) => ({ name: `f${i}`, type: 'float64' })));
  const stamp = { eventTimeMs: Date.now(), ingestTimeMs: Date.now(), tieBreak: 0 };
  const row = (): number[] => Array.from({ length: FEATURES }, () => random() * 1000);
  for (let from = 0; from < ENTITIES; from += 1000) {
    const keys = Array.from({ length: 1000 }, (_, i) => onlineKey('default', 'driver', joinEntityKey([String(from + i)]), 'fv50'));
    await Promise.all(keys.map((key) => redis.set(key, encodeBlob(schema, row(), stamp))));
  }
  await redis.quit();
}

/** A fast wrong answer is no result. */
async function check(grpc: string): Promise<void> {
  const client = createClient(FeatureStoreDefinition, grpc);
  const { vectors } = await client.getOnlineFeatures(request(100));
  client.close();
  const good = vectors.filter(
    ({ values, statuses }) => values.every((v) => typeof v === 'number') && statuses.every((s) => s === 'FIELD_STATUS_PRESENT'),
  );
  if (good.length !== 100) throw new Error(`${good.length} of 100 vectors are whole`);
}

function request(entities: number): GetOnlineFeaturesRequest {
  return GetOnlineFeaturesRequest.fromPartial({
    features: Array.from({ length: FEATURES }, (_, i) => `fv50:f${i}`),
    entities: Array.from({ length: entities }, () => ({ keys: { driver_id: String(Math.floor(random() * ENTITIES)) } })),
  });
}

function payloadOf(entities: number): string {
  return join(work, `${entities}.bin`);
}

function payload(entities: number): Buffer {
  const parts = Array.from({ length: REQUESTS }, () => {
    const body = Buffer.from(GetOnlineFeaturesRequest.encode(request(entities)).finish());
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    return Buffer.concat([length, body]);
  });
  return Buffer.concat(parts);
}

async function startService(transport: string, postgresUrl: string): Promise<{ child: ChildProcess; grpc: string }> {
  const profile = options.profile === '' ? [] : ['--cpu-prof', '--cpu-prof-dir', join(options.profile, transport)];
  const child = spawn('taskset', ['-c', '0', process.execPath, ...profile, join(repository, 'services/feature-store/dist/main.js')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      HEADRACE_GRPC_TRANSPORT: transport,
      HEADRACE_HTTP_PORT: '0',
      HEADRACE_GRPC_PORT: '0',
      HEADRACE_LOG_LEVEL: 'warn',
      HEADRACE_STATE: join(work, transport),
      HEADRACE_KAFKA_BROKERS: engines.kafkaBrokers.join(','),
      HEADRACE_POSTGRES_URL: postgresUrl,
      HEADRACE_REDIS_URL: engines.redisUrl,
      HEADRACE_TOPIC_PREFIX: `bench-${transport}.`,
    },
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    if (!line.includes('"ready"')) {
      console.log(line);
      continue;
    }
    child.stdout!.on('data', (text: Buffer) => process.stdout.write(text));
    return { child, grpc: (JSON.parse(line) as { grpc: string }).grpc };
  }
  throw new Error('the service ended before it was ready');
}

interface Running {
  readonly transport: string;
  readonly child: ChildProcess;
  readonly grpc: string;
}

/** Turn about, so that what else the machine does meets both; of each the median run by requests per second. */
function compare(shape: (typeof SHAPES)[number], servers: readonly Running[]): Row[] {
  for (const server of servers) load(shape, server, 1);
  const rounds = Array.from({ length: Number(options.runs) }, () => servers.map((server) => load(shape, server, Number(options.seconds))));
  return servers.map(({ transport }, i) => {
    const runs = rounds.map((round) => round[i]!).sort((a, b) => a[0]! - b[0]!);
    const [requestsPerSecond = 0, p50Ms = 0, p99Ms = 0, errors = 0, serverCpuUs = 0, rssMiB = 0, clientCpuUs = 0] = runs[runs.length >> 1]!;
    const timesFeast = Math.round((requestsPerSecond / shape.feast) * 10) / 10;
    return { shape: shape.name, transport, requestsPerSecond, p50Ms, p99Ms, errors, serverCpuUs, rssMiB, clientCpuUs, timesFeast };
  });
}

function load({ entities, callers }: (typeof SHAPES)[number], { child, grpc }: Running, seconds: number): number[] {
  const path = '/headrace.features.v1.FeatureStore/GetOnlineFeatures';
  const what = ['--addr', grpc, '--path', path, '--payload', payloadOf(entities), '--c', String(callers), '--conns', '1'];
  const how = ['--warm', '0.3', '--dur', String(seconds), '--runs', '1', '--pid', String(child.pid)];
  return execFileSync('taskset', ['-c', '1', loadgen, ...what, ...how], { encoding: 'utf8' })
    .trim()
    .split('\t')
    .map(Number);
}

function report(): void {
  console.table(rows);
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadAverageAtEnd: loadavg()[0],
  };
  const result = { date: new Date().toISOString(), machine, seconds: Number(options.seconds), runs: Number(options.runs), rows };
  writeFileSync(join(here, 'results.json'), `${JSON.stringify(result, null, 2)}\n`);
}
