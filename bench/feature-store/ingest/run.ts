/**
 * `npm run build && node bench/feature-store/ingest/run.ts`: rows per second from Kafka into Postgres and Redis, the code of today against
 * the code of an older commit on the same engines. Prints a table and the ratio, and writes `results.json` with machine and date.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { once } from 'node:events';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { seededRandom } from '@headrace/base/random';
import { FeatureRowsPublished } from '@headrace/contracts/events/v1/events';
import { FeatureStoreDefinition, type Definition } from '@headrace/contracts/features/v1/features';
import { startEngines } from '@headrace/engines/start-engines';
import { cleanEngines } from '@headrace/engines/stop-engines';
import { featureRowsPublished } from '@headrace/events/catalog';
import type { OutgoingRecord } from '@headrace/events/envelope';
import { createClient } from '@headrace/platform/grpc/client';
import { KafkaClients } from '@headrace/platform/kafka/kafka-clients';
import { Log } from '@headrace/platform/log';
import { Redis } from 'ioredis';
import pg from 'pg';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { definitionsOf } = (await import(new URL('../../kit.ts', import.meta.url).href)) as typeof import('../../kit.js');

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '240000' },
    'rows-per-event': { type: 'string', default: '100' },
    entities: { type: 'string', default: '100000' },
    runs: { type: 'string', default: '2' },
    /** The last commit before the hot codec. */
    before: { type: 'string', default: '6b851b2' },
    only: { type: 'string', default: '' },
    profile: { type: 'string', default: '' },
  },
});
const here = import.meta.dirname;
const repository = join(here, '../../..');
const rows = Number(options.rows);
const FEATURES = 10;
const VIEW = 'activity';
/** A run that takes longer than this is broken, not slow. */
const RUN_LIMIT_MS = 120_000;
const log = Log.create('feature-store', 'silent', 'bench');

interface Run {
  readonly code: string;
  readonly rowsPerSecond: number;
  readonly seconds: number;
  readonly serviceCpuUsPerRow: number;
  readonly postgresCpuUsPerRow: number;
  readonly redisCpuUsPerRow: number;
  readonly loadAverage: number;
}

const variants = { before: extractBefore(options.before), after: join(repository, 'services/feature-store/dist/main.js') };
const records = [...backlog(rows, Number(options['rows-per-event']), Number(options.entities))];
const stateDir = mkdtempSync(join(tmpdir(), 'bench-ingest-'));
chmodSync(stateDir, 0o755); // Postgres runs as another user when we are root
const engines = await startEngines({ stateDir, cacheDir: join(repository, '.headrace/cache') });
const runs: Run[] = [];
try {
  for (let i = 0; i < Number(options.runs); i++) {
    for (const code of ['before', 'after'] as const) if (options.only === '' || options.only === code) runs.push(await measure(code, i));
  }
} finally {
  await cleanEngines(stateDir);
  rmSync(stateDir, { recursive: true, force: true });
}
report();

/** The older code runs on the libraries of today: only the service itself is compared. */
function extractBefore(commit: string): string {
  const folder = join(repository, '.headrace/cache/bench-ingest', commit);
  const main = join(folder, 'services/feature-store/dist/main.js');
  if (existsSync(main)) return main;
  mkdirSync(folder, { recursive: true });
  execFileSync('sh', ['-c', `git archive ${commit} services/feature-store | tar -x -C "${folder}"`], { cwd: repository, stdio: 'inherit' });
  const service = join(folder, 'services/feature-store');
  const swc = join(repository, 'node_modules/.bin/swc');
  execFileSync(
    swc,
    ['src', '-d', 'dist', '--strip-leading-paths', '--config-file', join(repository, '.swcrc'), '--ignore', '**/*.test.ts'],
    { cwd: service, stdio: 'inherit' },
  );
  return main;
}

async function measure(code: keyof typeof variants, index: number): Promise<Run> {
  const name = `bench_${code}_${index}`;
  const postgresUrl = new URL(engines.postgresUrl);
  await sql(engines.postgresUrl, `CREATE DATABASE ${name}`);
  postgresUrl.pathname = `/${name}`;
  const kafka = new KafkaClients({ brokers: engines.kafkaBrokers, client: 'auto', clientId: 'bench', topicPrefix: `${name}.` }, log);
  await kafka.admin().ensureTopics([featureRowsPublished as never]);
  const { child, grpc } = await startService(variants[code], name, postgresUrl.href);
  const client = createClient(FeatureStoreDefinition, grpc);
  try {
    await client.apply({ definitions: definitions() });
    // Stopped while the backlog grows, so that only the draining is timed. Shorter than the session of its consumer group.
    child.kill('SIGSTOP');
    await publish(kafka, records);
    const before = cpuOf(child.pid!);
    const startedAt = performance.now();
    child.kill('SIGCONT');
    await drained(kafka, startedAt);
    const seconds = (performance.now() - startedAt) / 1000;
    const used = cpuOf(child.pid!);
    await verify(client, postgresUrl.href);
    const perRow = (what: keyof Cpu): number => round(((used[what] - before[what]) * 1e6) / rows, 1);
    const run: Run = {
      code,
      rowsPerSecond: Math.round(rows / seconds),
      seconds: round(seconds, 2),
      serviceCpuUsPerRow: perRow('service'),
      postgresCpuUsPerRow: perRow('postgres'),
      redisCpuUsPerRow: perRow('redis'),
      loadAverage: round(loadavg()[0]!, 1),
    };
    console.log(JSON.stringify(run));
    return run;
  } finally {
    client.close();
    child.kill('SIGCONT');
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
    await kafka.close();
    await sql(engines.postgresUrl, `DROP DATABASE ${name} WITH (FORCE)`);
    const redis = new Redis(engines.redisUrl);
    await redis.flushdb();
    redis.disconnect();
  }
}

async function startService(main: string, name: string, postgresUrl: string): Promise<{ child: ChildProcess; grpc: string }> {
  const profile = options.profile === '' ? [] : ['--cpu-prof', '--cpu-prof-dir', options.profile];
  const child = spawn(process.execPath, [...profile, main], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      HEADRACE_HTTP_PORT: '0',
      HEADRACE_GRPC_PORT: '0',
      HEADRACE_KAFKA_BROKERS: engines.kafkaBrokers.join(','),
      HEADRACE_TOPIC_PREFIX: `${name}.`,
      HEADRACE_POSTGRES_URL: postgresUrl,
      HEADRACE_REDIS_URL: engines.redisUrl,
      HEADRACE_STATE: join(stateDir, name),
      HEADRACE_LOG_LEVEL: 'warn',
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

async function publish(kafka: KafkaClients, all: readonly OutgoingRecord[]): Promise<void> {
  const producer = kafka.hotProducer();
  for (let from = 0; from < all.length; from += 200) await producer.send(all.slice(from, from + 200));
}

async function drained(kafka: KafkaClients, startedAt: number): Promise<void> {
  while (performance.now() - startedAt < RUN_LIMIT_MS) {
    const lag = await kafka.admin().lag('feature-store', featureRowsPublished.topic);
    if (lag.every((one) => one.lag === 0n)) return;
    await sleep(50);
  }
  throw new Error(`the backlog is not drained after ${RUN_LIMIT_MS} ms`);
}

/** All rows are offline, and the newest of each entity is online: a fast loss is no result. */
async function verify(client: ReturnType<typeof createClient<typeof FeatureStoreDefinition>>, postgresUrl: string): Promise<void> {
  const stored = (await client.listViews({})).views.find((view) => view.name === VIEW)?.offlineRows;
  if (stored !== rows) throw new Error(`${stored} rows are offline, ${rows} were sent`);
  const [{ entities }] = (await sql(postgresUrl, 'SELECT count(DISTINCT _entity)::int AS entities FROM view_rows_1')) as [
    { entities: number },
  ];
  const redis = new Redis(engines.redisUrl);
  const online = await redis.dbsize();
  redis.disconnect();
  if (online !== entities) throw new Error(`${online} entities are online, ${entities} are offline`);
}

interface Cpu {
  readonly service: number;
  readonly postgres: number;
  readonly redis: number;
}

/** CPU seconds so far, of the service and of the engines with their living children. */
function cpuOf(servicePid: number): Cpu {
  const pidOf = (engine: string): number => engines.processes.find((process) => process.engine === engine)!.pid;
  return { service: seconds([servicePid]), postgres: seconds(family(pidOf('postgres'))), redis: seconds([pidOf('redis')]) };
}

function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return [pid, ...(children === '' ? [] : children.split(' ').map(Number))];
}

function seconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    if (!existsSync(`/proc/${pid}/stat`)) continue;
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / 100;
}

async function sql(url: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows as unknown[];
  } finally {
    await client.end();
  }
}

function report(): void {
  const best = (code: string): Run | undefined =>
    runs.filter((run) => run.code === code).sort((a, b) => b.rowsPerSecond - a.rowsPerSecond)[0];
  const [before, after] = [best('before'), best('after')];
  console.table(runs);
  if (!before || !after) return;
  const ratio = round(after.rowsPerSecond / before.rowsPerSecond, 2);
  console.log(`best of ${options.runs}: ${before.rowsPerSecond} -> ${after.rowsPerSecond} rows/s, ${ratio} times`);
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30), node: process.version };
  const result = {
    date: new Date().toISOString(),
    machine,
    rows,
    features: FEATURES,
    rowsPerEvent: Number(options['rows-per-event']),
    entities: Number(options.entities),
    beforeCommit: options.before,
    runs,
    ratio,
  };
  writeFileSync(join(here, 'results.json'), `${JSON.stringify(result, null, 2)}\n`);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** Six float64 and four int64 features, one join key, online. */
function definitions(): Definition[] {
  const features = Array.from({ length: FEATURES }, (_, i) => `  - { name: ${nameOf(i)}, type: ${isWhole(i) ? 'int64' : 'float64'} }`);
  const yaml = `kind: Entity\nname: person\njoinKeys: [person_id]\n---\nkind: FeatureView\nname: ${VIEW}\nentity: person\nonline: true\nfeatures:\n${features.join('\n')}\n`;
  return definitionsOf(yaml);
}

/** Events of `rowsPerEvent` rows over `entities` people in random order, seeded; one value in fifty is null. */
function* backlog(rows: number, rowsPerEvent: number, entities: number): Generator<OutgoingRecord> {
  const random = seededRandom(7);
  const startMs = Date.UTC(2025, 0, 1);
  for (let first = 0; first < rows; first += rowsPerEvent) {
    const event = FeatureRowsPublished.encode({
      project: 'default',
      view: VIEW,
      rows: Array.from({ length: Math.min(rowsPerEvent, rows - first) }, (_, i) => ({
        entity: { person_id: `p${Math.floor(random() * entities)}` },
        eventTime: new Date(startMs + (first + i) * 50),
        values: Object.fromEntries(Array.from({ length: FEATURES }, (_, f) => [nameOf(f), valueOf(f, random)])),
      })),
    }).finish();
    yield { topic: featureRowsPublished.topic, key: `k${first}`, value: event, headers: { 'content-type': 'application/protobuf' } };
  }
}

function nameOf(i: number): string {
  return `${isWhole(i) ? 'count' : 'amount'}_${i}`;
}

function isWhole(i: number): boolean {
  return i >= 6;
}

function valueOf(feature: number, random: () => number): number | null {
  if (random() < 0.02) return null;
  return isWhole(feature) ? Math.floor(random() * 1000) : random() * 1000;
}
