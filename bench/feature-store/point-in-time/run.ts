/**
 * `npm run build && node bench/feature-store/point-in-time/run.ts`: a million rows of an entity frame joined point in time with two views of five million rows
 * and five features each: by the service through Postgres (frame uploaded, snapshot downloaded), and by DuckDB over the service's Parquet export. Both
 * answers must have equal rows and sums. Prints the seconds and writes `results.json` with machine and date.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, createReadStream, createWriteStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { FeatureStoreDefinition, type Definition } from '@headrace/contracts/features/v1/features';
import { JoinState, PointInTimeJoinsDefinition } from '@headrace/contracts/features/v1/joins';
import { startEngines } from '@headrace/engines/start-engines';
import { cleanEngines } from '@headrace/engines/stop-engines';
import { createClient } from '@headrace/platform/grpc/client';
import pg from 'pg';
import type { Service } from '../../kit.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { cacheDir, definitionsOf, machine, repository, startService, stop } = (await import(
  new URL('../../kit.ts', import.meta.url).href
)) as typeof import('../../kit.js');

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    history: { type: 'string', default: '5000000' },
    entities: { type: 'string', default: '100000' },
    runs: { type: 'string', default: '3' },
  },
});
const [rows, history, entities, runs] = [options.rows, options.history, options.entities, options.runs].map(Number) as [
  number,
  number,
  number,
  number,
];
const FEATURES = ['a', 'b', 'c', 'd', 'e'];
const VIEWS = ['activity', 'balance'];
const REFERENCES = VIEWS.flatMap((view) => FEATURES.map((feature) => `${view}:${feature}`));
const MONTH = ['2025-01-01T00:00:00Z', '2025-02-01T00:00:00Z'] as const;
const MONTH_MS = 31 * 86_400_000;

const work = mkdtempSync(join(tmpdir(), 'bench-join-'));
chmodSync(work, 0o755); // Postgres runs as another user when we are root
const engines = await startEngines({ stateDir: work, cacheDir, durable: false });
const measured: Record<string, number>[] = [];
try {
  const service = await startFeatureStore();
  const client = createClient(FeatureStoreDefinition, service.grpc);
  await client.apply({ definitions: definitions() });
  client.close();
  const loadSeconds = await timed(fillHistory);
  console.info(`${VIEWS.length} x ${history} rows of history in ${loadSeconds} s`);
  const duckdb = await (await DuckDBInstance.create(':memory:')).connect();
  await writeFrame(duckdb);
  const exportSeconds = await timed(() => exportHistory(service.http));
  console.info(`exported as Parquet in ${exportSeconds} s`);
  for (let run = 0; run < runs; run++) {
    const postgres = await joinInService(service);
    const duckdbSeconds = joinInDuckdb();
    const [ours, theirs] = [await sums(duckdb, 'joined.parquet'), await sums(duckdb, 'duckdb.parquet')];
    if (ours !== theirs) throw new Error(`the answers differ: ${ours} and ${theirs}`);
    measured.push({ ...postgres, duckdbSeconds, serviceRssMiB: rssMiB(service.child.pid!) });
    console.info(JSON.stringify({ ...measured.at(-1), answer: ours }));
  }
  duckdb.closeSync();
  await stop(service.child);
  report(exportSeconds);
} finally {
  await cleanEngines(work);
  rmSync(work, { recursive: true, force: true });
}

function startFeatureStore(): Promise<Service> {
  return startService('feature-store', {
    env: {
      HEADRACE_KAFKA_BROKERS: engines.kafkaBrokers.join(','),
      HEADRACE_POSTGRES_URL: engines.postgresUrl,
      HEADRACE_REDIS_URL: engines.redisUrl,
      HEADRACE_STATE: join(work, 'state'),
      HEADRACE_LOG_LEVEL: 'error',
    },
  });
}

/** Straight into the tables of the views: how rows arrive is the question of another bench. */
async function fillHistory(): Promise<void> {
  const client = new pg.Client({ connectionString: engines.postgresUrl });
  await client.connect();
  // VACUUM marks no page as visible to all before the commit that wrote it is flushed, and these engines flush late.
  await client.query('SET synchronous_commit = on');
  const { rows: tables } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relkind = 'p' AND relname LIKE 'view_rows_%' ORDER BY 1`,
  );
  if (tables.length !== VIEWS.length) throw new Error(`${tables.length} tables of views, ${VIEWS.length} expected`);
  for (const [at, { name }] of tables.entries()) {
    await client.query(`CREATE TABLE ${name}_month PARTITION OF ${name} FOR VALUES FROM ('${MONTH[0]}') TO ('${MONTH[1]}')`);
    // A mixed congruence instead of random(): the same rows in every run.
    const scattered = (factor: number, modulus: number): string => `((n::bigint * ${factor} + ${at * 7919}) % ${modulus})`;
    const key = `'p' || lpad((n % ${entities})::text, 7, '0')`;
    await client.query(
      `INSERT INTO ${name} SELECT ${key}, '${MONTH[0]}'::timestamptz + ${scattered(2_654_435_761, MONTH_MS)} * interval '1 millisecond', n,
         '${MONTH[0]}', '${MONTH[0]}', ${FEATURES.map((_, f) => `${scattered(48_271 + f * 2, 1_000_003)} / 8.0`).join(', ')}
       FROM generate_series(1, ${history}) AS n ORDER BY n % ${entities}`,
    );
    await client.query(`VACUUM ANALYZE ${name}`);
  }
  await client.end();
}

async function writeFrame(duckdb: DuckDBConnection): Promise<void> {
  await duckdb.run(
    `COPY (SELECT n AS row, 'p' || lpad(((n * 7_368_787) % ${entities})::text, 7, '0') AS person_id,
       TIMESTAMP '2025-01-01' + to_milliseconds((n * 2_147_483_647) % ${MONTH_MS}) AS event_timestamp
     FROM range(${rows}) AS t(n)) TO '${join(work, 'frame.parquet')}' (FORMAT parquet)`,
  );
}

async function exportHistory(http: string): Promise<void> {
  const request = { features: REFERENCES, columns: ['row', 'event_timestamp'] };
  const answer = await fetch(`${http}/exports`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  const { sql, histories } = (await answer.json()) as { sql: string; histories: { file: string; path: string }[] };
  for (const { file, path } of histories) await download(`${http}${path}`, join(work, file));
  writeFileSync(join(work, 'point-in-time.sql'), sql);
}

async function joinInService({ grpc, http }: { grpc: string; http: string }): Promise<Record<string, number>> {
  const client = createClient(PointInTimeJoinsDefinition, grpc, { defaultTimeoutMs: 60_000 });
  const startedAt = performance.now();
  const body = createReadStream(join(work, 'frame.parquet'));
  const upload = { method: 'POST', headers: { 'content-type': 'application/vnd.apache.parquet' }, body, duplex: 'half' };
  const { frame } = (await (await fetch(`${http}/frames`, upload as unknown as RequestInit)).json()) as { frame: string };
  const uploadedAt = performance.now();
  let done = await client.startJoin({ features: REFERENCES, source: { $case: 'frame', value: frame } });
  while (done.state === JoinState.QUEUED || done.state === JoinState.RUNNING) {
    await sleep(20);
    done = await client.getJoin({ joinId: done.joinId });
  }
  if (done.state !== JoinState.SUCCEEDED) throw new Error(`the join did not succeed: ${done.error}`);
  const joinedAt = performance.now();
  await download(`${http}/training-sets/${done.trainingSet}.parquet`, join(work, 'joined.parquet'));
  client.close();
  return {
    seconds: seconds(performance.now() - startedAt),
    uploadSeconds: seconds(uploadedAt - startedAt),
    joinSeconds: seconds(joinedAt - uploadedAt),
  };
}

/** In a process of its own, so that nothing is warm but the page cache. @returns seconds, its start not counted */
function joinInDuckdb(): number {
  const code = `
    const { DuckDBInstance } = require('@duckdb/node-api');
    (async () => {
      const connection = await (await DuckDBInstance.create(':memory:')).connect();
      const sql = require('node:fs').readFileSync('point-in-time.sql', 'utf8').replace(/;\\s*$/, '');
      const startedAt = performance.now();
      await connection.run("COPY (" + sql + ") TO 'duckdb.parquet' (FORMAT parquet, COMPRESSION zstd)");
      console.log((performance.now() - startedAt) / 1000);
    })();`;
  const env = { ...process.env, NODE_PATH: join(repository, 'node_modules') };
  return seconds(Number(execFileSync(process.execPath, ['-e', code], { cwd: work, env, encoding: 'utf8' })) * 1000);
}

/** Rows, and for each feature the values and their sum. */
async function sums(duckdb: DuckDBConnection, file: string): Promise<string> {
  const columns = REFERENCES.map((reference) => `"${reference.replace(':', '__')}"`);
  const facts = columns.map((column) => `count(${column}), sum(${column})`);
  const reader = await duckdb.runAndReadAll(`SELECT count(*), count(DISTINCT row), ${facts.join(', ')} FROM '${join(work, file)}'`);
  return reader.getRowsJS()[0]!.map(String).join(' ');
}

async function download(url: string, file: string): Promise<void> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  await pipeline(Readable.fromWeb(answer.body as ReadableStream), createWriteStream(file));
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return seconds(performance.now() - startedAt);
}

function seconds(ms: number): number {
  return Math.round(ms / 10) / 100;
}

function rssMiB(pid: number): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024);
}

function definitions(): Definition[] {
  const features = FEATURES.map((name) => `  - { name: ${name}, type: float64 }`).join('\n');
  const views = VIEWS.map((name) => `---\nkind: FeatureView\nname: ${name}\nentity: person\nonline: false\nfeatures:\n${features}\n`);
  return definitionsOf(`kind: Entity\nname: person\njoinKeys: [person_id]\n${views.join('')}`);
}

function report(exportSeconds: number): void {
  const median = (of: string): number => measured.map((run) => run[of]!).sort((a, b) => a - b)[measured.length >> 1]!;
  const result = {
    date: new Date().toISOString(),
    machine: machine(),
    frameRows: rows,
    views: VIEWS.length,
    rowsOfEachView: history,
    features: FEATURES.length,
    frameBytes: statSync(join(work, 'frame.parquet')).size,
    exportSeconds,
    medians: { throughPostgresSeconds: median('seconds'), inDuckdbSeconds: median('duckdbSeconds') },
    runs: measured,
  };
  console.info(JSON.stringify(result.medians));
  writeFileSync(join(import.meta.dirname, 'results.json'), `${JSON.stringify(result, null, 2)}\n`);
}
