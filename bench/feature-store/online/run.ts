/**
 * `npm run build && node bench/feature-store/online/run.ts`: online reads of the built feature store, over libs/wire and over grpc-js, against
 * Feast's server on the same Redis. README.md beside this file says how it is measured.
 */
import { execFileSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '@headrace/base/random';
import { compileBlobSchema, encodeBlob } from '@headrace/codec/feature-blob';
import { joinEntityKey, onlineKey } from '@headrace/codec/feature-key';
import { FeatureStoreDefinition, GetOnlineFeaturesRequest, type Definition } from '@headrace/contracts/features/v1/features';
import { startEngines } from '@headrace/engines/start-engines';
import { cleanEngines } from '@headrace/engines/stop-engines';
import { createClient } from '@headrace/platform/grpc/client';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { Figures, Service } from '../../kit.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { buildLoadgen, cacheDir, definitionsOf, figuresOf, machine, medianOf, ratio, savePayload, startService, stop } = (await import(
  new URL('../../kit.ts', import.meta.url).href
)) as typeof import('../../kit.js');
const { FEAST_PATH, feastPayload, startFeast } = (await import(new URL('./feast.ts', import.meta.url).href)) as typeof import('./feast.js');

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    profile: { type: 'string', default: '' },
    transports: { type: 'string', default: 'wire,grpc-js' },
    peers: { type: 'string', default: 'feast' },
  },
});
const here = import.meta.dirname;
const FEATURES = 50;
const ENTITIES = 20_000;
/** Requests that are cycled: one repeated request flatters caches. */
const REQUESTS = 512;
const transports = options.transports.split(',');

/** Callers of Feast: with those its rates were best when they were looked for. */
const SHAPES = [
  { name: '1 entity x 50 features', entities: 1, callers: 64, feastCallers: 8 },
  { name: '100 entities x 50 features', entities: 100, callers: 8, feastCallers: 4 },
] as const;
type Shape = (typeof SHAPES)[number];

interface Row extends Figures {
  readonly shape: string;
  readonly server: string;
  /** Requests per second over those of Feast, and its CPU a request over ours; undefined without Feast. */
  readonly timesFeast?: number;
  readonly timesLessCpu?: number;
  /** With as many callers as Feast has, and over its p99. */
  readonly likeFeastP99Ms?: number;
  readonly p99OfFeast?: number;
}

const loadgen = buildLoadgen();
const work = mkdtempSync(join(tmpdir(), 'bench-online-'));
chmodSync(work, 0o755); // Postgres runs as another user when we are root
const random = seededRandom(7);
const engines = await startEngines({ stateDir: join(work, 'engines'), cacheDir, durable: false });
const rows: Row[] = [];
try {
  const postgresUrl = await makeDatabase();
  for (const shape of SHAPES) savePayload(payloadOf(shape.entities), requests(shape.entities));
  const servers: Running[] = [];
  for (const transport of transports) servers.push({ name: transport, ...(await startFeatureStore(transport, postgresUrl)) });
  await fill(servers[0]!.grpc);
  for (const server of servers) await check(server.grpc);
  if (options.peers === 'feast') servers.push({ name: 'feast', ...(await startPeer()) });
  for (const shape of SHAPES) rows.push(...compare(shape, servers));
  for (const { child } of servers) {
    await stop(child);
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
  return definitionsOf(yaml);
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

function requests(entities: number): Uint8Array[] {
  return Array.from({ length: REQUESTS }, () => GetOnlineFeaturesRequest.encode(request(entities)).finish());
}

function payloadOf(entities: number): string {
  return join(work, `${entities}.bin`);
}

function startFeatureStore(transport: string, postgresUrl: string): Promise<Service> {
  const nodeOptions = options.profile === '' ? [] : ['--cpu-prof', '--cpu-prof-dir', join(options.profile, transport)];
  return startService('feature-store', {
    core: 0,
    nodeOptions,
    env: {
      HEADRACE_GRPC_TRANSPORT: transport,
      HEADRACE_LOG_LEVEL: 'warn',
      // The rows are in Redis alone, which an inspection would take for a fault.
      HEADRACE_FEATURES_INSPECT_EVERY: '86400000',
      HEADRACE_STATE: join(work, transport),
      HEADRACE_KAFKA_BROKERS: engines.kafkaBrokers.join(','),
      HEADRACE_POSTGRES_URL: postgresUrl,
      HEADRACE_REDIS_URL: engines.redisUrl,
      HEADRACE_TOPIC_PREFIX: `bench-${transport}.`,
    },
  });
}

interface Running {
  /** The transport of ours, or the peer. */
  readonly name: string;
  readonly child: ChildProcess;
  readonly grpc: string;
}

function startPeer(): Promise<{ child: ChildProcess; grpc: string }> {
  const sizes = SHAPES.map((shape) => shape.entities);
  const { redisUrl } = engines;
  return startFeast({ folder: join(work, 'feast'), redisUrl, entities: ENTITIES, features: FEATURES, requests: REQUESTS, sizes });
}

/** Turn about, so that what else the machine does meets all. */
function compare(shape: Shape, servers: readonly Running[]): Row[] {
  for (const server of servers) load(shape, server, callersOf(shape, server), 1);
  const rounds = Array.from({ length: Number(options.runs) }, () =>
    servers.map((server) => ({
      own: load(shape, server, callersOf(shape, server), Number(options.seconds)),
      likeFeast: server.name === 'feast' ? undefined : load(shape, server, shape.feastCallers, Number(options.seconds)),
    })),
  );
  const medians = servers.map((_, i) => ({
    own: medianOf(rounds.map((round) => round[i]!.own)),
    likeFeast: medianOf(rounds.flatMap((round) => round[i]!.likeFeast ?? [])),
  }));
  const feast = medians[servers.findIndex(({ name }) => name === 'feast')]?.own;
  return servers.map(({ name }, i): Row => {
    const { own, likeFeast } = medians[i]!;
    const row = { shape: shape.name, server: name, ...own! };
    if (!feast || !likeFeast) return row;
    return {
      ...row,
      timesFeast: ratio(row.requestsPerSecond, feast.requestsPerSecond),
      timesLessCpu: ratio(feast.serverCpuUs, row.serverCpuUs),
      likeFeastP99Ms: likeFeast.p99Ms,
      p99OfFeast: ratio(likeFeast.p99Ms, feast.p99Ms),
    };
  });
}

function callersOf(shape: Shape, { name }: Running): number {
  return name === 'feast' ? shape.feastCallers : shape.callers;
}

function load(shape: Shape, { name, child, grpc }: Running, callers: number, seconds: number): Figures {
  const isFeast = name === 'feast';
  const path = isFeast ? FEAST_PATH : '/headrace.features.v1.FeatureStore/GetOnlineFeatures';
  const file = isFeast ? feastPayload(join(work, 'feast'), shape.entities) : payloadOf(shape.entities);
  const what = ['--addr', grpc, '--path', path, '--payload', file, '--c', String(callers), '--conns', '1'];
  const how = ['--warm', '0.3', '--dur', String(seconds), '--runs', '1', '--pid', String(child.pid)];
  return figuresOf(execFileSync('taskset', ['-c', '1', loadgen, ...what, ...how], { encoding: 'utf8' }));
}

function report(): void {
  console.table(rows);
  const result = { date: new Date().toISOString(), machine: machine(), seconds: Number(options.seconds), runs: Number(options.runs), rows };
  writeFileSync(join(here, 'results.json'), `${JSON.stringify(result, null, 2)}\n`);
}
