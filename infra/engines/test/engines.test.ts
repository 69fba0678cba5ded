import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cacheDirFor } from '../src/config.js';
import type { StartEnginesOptions } from '../src/engine.js';
import { freePort } from '../src/free-port.js';
import { findJava } from '../src/kafka/find-java.js';
import { findKafkaJars } from '../src/kafka/find-kafka.js';
import { startKafka } from '../src/kafka/start-kafka.js';
import { pidFile } from '../src/layout.js';
import { thisMachine } from '../src/machine.js';
import { findPostgres } from '../src/postgres/find-postgres.js';
import { placePostgres } from '../src/postgres/place-postgres.js';
import { startPostgres } from '../src/postgres/start-postgres.js';
import { identityOf, isRunning, readPidRecord } from '../src/processes.js';
import { findRedis } from '../src/redis/find-redis.js';
import { startRedis } from '../src/redis/start-redis.js';
import { readRuntime } from '../src/runtime-file.js';
import { startEngines, type RunningEngines } from '../src/start-engines.js';
import { cleanEngines, runningEngines, stopEngines } from '../src/stop-engines.js';

const repository = resolve(import.meta.dirname, '..', '..', '..');
let stateDir: string;
let options: StartEnginesOptions;

beforeAll(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'engines-test-'));
  chmodSync(stateDir, 0o755); // as root Postgres runs as another user and must get in
  options = { stateDir, cacheDir: cacheDirFor(join(repository, '.headrace')) };
});
afterAll(async () => {
  await cleanEngines(stateDir);
  rmSync(stateDir, { recursive: true, force: true });
});

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** Topics are made without `waitForLeaders`: on a busy machine that meets UNKNOWN_TOPIC_OR_PARTITION, which kafkajs' admin does not retry; its producer does. */
function kafkaOf(engines: RunningEngines, retries = 10): Kafka {
  return new Kafka({
    clientId: 'engines-test',
    brokers: engines.kafkaBrokers,
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries },
  });
}

async function produce(engines: RunningEngines, topic: string, values: string[], retries?: number): Promise<void> {
  const producer = kafkaOf(engines, retries).producer({ idempotent: true });
  await producer.connect();
  await producer.send({ topic, messages: values.map((value) => ({ value })) });
  await producer.disconnect();
}

async function consume(engines: RunningEngines, topic: string, count: number, groupId: string): Promise<string[]> {
  const consumer = kafkaOf(engines).consumer({ groupId });
  const seen: string[] = [];
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await new Promise<void>((done, failed) => {
    const timer = setTimeout(() => failed(new Error(`only ${seen.length} of ${count} messages came`)), 20_000);
    void consumer.run({
      eachMessage: async ({ message }) => {
        if (seen.push(String(message.value)) < count) return;
        clearTimeout(timer);
        done();
      },
    });
  });
  await consumer.disconnect();
  return seen.sort();
}

function nothingRuns(pids: readonly number[]): void {
  for (const pid of pids) expect(identityOf(pid), `process ${pid}`).toBeUndefined();
  expect(runningEngines(stateDir)).toEqual([]);
}

function pidsOf(engines: RunningEngines): number[] {
  return engines.processes.map(({ pid }) => pid);
}

it('starts all three, which work, and keeps their data over a stop', async () => {
  const phases: string[] = [];
  const first = await startEngines({ ...options, report: ({ engine, phase }) => phases.push(`${engine} ${phase}`) });
  expect(phases).toEqual(expect.arrayContaining(['kafka ready', 'postgres ready', 'redis ready']));
  expect(first.processes.map(({ engine, reused }) => [engine, reused])).toEqual([
    ['kafka', false],
    ['postgres', false],
    ['redis', false],
  ]);

  const admin = kafkaOf(first).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 2 }], waitForLeaders: false });
  await admin.disconnect();
  await produce(first, 'kept', ['a', 'b']);
  await query(first.postgresUrl, 'create table kept (id int primary key); insert into kept values (7)');
  const redis = new Redis(first.redisUrl);
  await redis.set('kept', 'yes');
  redis.disconnect();
  await first.stop();
  nothingRuns(pidsOf(first));

  const second = await startEngines(options);
  expect([second.kafkaBrokers, second.postgresUrl, second.redisUrl]).toEqual([first.kafkaBrokers, first.postgresUrl, first.redisUrl]);
  expect(await consume(second, 'kept', 2, 'group-1')).toEqual(['a', 'b']);
  expect(await query(second.postgresUrl, 'select id from kept')).toEqual([{ id: 7 }]);
  const again = new Redis(second.redisUrl);
  expect(await again.get('kept')).toBe('yes');
  again.disconnect();
});

it('takes engines that still run as they are', async () => {
  const pids = runningEngines(stateDir).map(({ pid }) => pid);
  const engines = await startEngines(options);
  expect(pidsOf(engines)).toEqual(pids);
  expect(engines.processes.every(({ reused }) => reused)).toBe(true);
});

it('starts only one set when two starts meet', async () => {
  await stopEngines(stateDir);
  const [one, two] = await Promise.all([startEngines(options), startEngines(options)]);
  expect(pidsOf(one)).toEqual(pidsOf(two));
});

it('keeps a large record and refuses an unknown topic', async () => {
  const engines = await startEngines(options);
  const admin = kafkaOf(engines).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'large' }], waitForLeaders: false });
  await admin.disconnect();
  await produce(engines, 'large', ['x'.repeat(5_000_000)]);
  await expect(produce(engines, 'never-declared', ['x'], 1)).rejects.toThrow(/does not host this topic-partition/);
});

it('lets nobody into Postgres without the password of the state folder', async () => {
  const { postgresUrl } = await startEngines(options);
  const url = new URL(postgresUrl);
  url.password = 'wrong';
  await expect(query(url.href, 'select 1')).rejects.toThrow(/password authentication failed/);
  const password = join(stateDir, 'engines', 'postgres', 'password');
  expect(readFileSync(password, 'utf8')).toBe(new URL(postgresUrl).password);
  expect(JSON.stringify(readRuntime(stateDir))).not.toContain(readFileSync(password, 'utf8'));
});

it('loses nothing acknowledged when all engines are killed', async () => {
  const before = await startEngines(options);
  await produce(before, 'kept', ['c']);
  await query(before.postgresUrl, 'insert into kept values (8)');
  for (const pid of pidsOf(before)) process.kill(pid, 'SIGKILL');
  const after = await startEngines(options);
  expect(after.processes.some(({ reused }) => reused)).toBe(false);
  expect(await consume(after, 'kept', 3, 'group-2')).toEqual(['a', 'b', 'c']);
  expect(await query(after.postgresUrl, 'select id from kept order by id')).toEqual([{ id: 7 }, { id: 8 }]);
});

it('finds its way past pid files whose pids others have now, and leaves those alone', async () => {
  await stopEngines(stateDir);
  const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(stranger, 'spawn');
  const stale = {
    pid: stranger.pid,
    port: 1,
    durable: true,
    identity: 'before the restart of the machine',
    command: '',
    logFrom: 0,
    startedAt: '',
  };
  for (const engine of ['kafka', 'postgres', 'redis'] as const)
    writeFileSync(pidFile(stateDir, engine), JSON.stringify({ engine, ...stale }));
  // Postgres has such a file of its own, and believes it.
  writeFileSync(join(readRuntime(stateDir).engines.postgres!.dataDir, 'postmaster.pid'), `${stranger.pid}\n`);
  try {
    const engines = await startEngines(options);
    expect(await query(engines.postgresUrl, 'select count(*)::int as rows from kept')).toEqual([{ rows: 2 }]);
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
  } finally {
    stranger.kill('SIGKILL');
  }
});

it('cleans up after a starter that was killed', async () => {
  await stopEngines(stateDir);
  const script = `
    import { runnerImport } from 'vite';
    const { module } = await runnerImport(process.argv[1], { configFile: false, resolve: { conditions: ['source'] }, ssr: { resolve: { conditions: ['source', 'node'] } }, logLevel: 'error' });
    await module.startEngines(JSON.parse(process.argv[2]));
    console.log('up');
    setInterval(() => {}, 1000);`;
  const args = [
    '--input-type=module',
    '-e',
    script,
    join(repository, 'infra', 'engines', 'src', 'start-engines.ts'),
    JSON.stringify(options),
  ];
  const starter = spawn(process.execPath, args, { cwd: repository, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(starter.stdout, 'data');
  starter.kill('SIGKILL');
  await once(starter, 'exit');
  const left = runningEngines(stateDir);
  expect(left.map(({ engine }) => engine)).toEqual(['kafka', 'postgres', 'redis']);
  expect(Object.keys(await stopEngines(stateDir))).toEqual(['kafka', 'postgres', 'redis']);
  nothingRuns(left.map(({ pid }) => pid));
  expect(existsSync(pidFile(stateDir, 'kafka'))).toBe(false);
  expect(await stopEngines(stateDir)).toEqual({});
});

it('starts nothing for a given URL, and says so clearly when that does not answer', async () => {
  const shared = await startEngines({ ...options, only: ['redis'] });
  const given = await startEngines({ ...options, only: ['redis'], urls: { redis: shared.redisUrl } });
  expect([given.redisUrl, given.processes, given.kafkaBrokers]).toEqual([shared.redisUrl, [], []]);
  await given.stop();
  expect(runningEngines(stateDir).map(({ engine }) => engine)).toEqual(['redis']);
  const port = await freePort();
  for (const urls of [
    { redis: `redis://:secret@127.0.0.1:${port}` },
    { postgres: `postgres://me:secret@127.0.0.1:${port}/x` },
    { kafka: `127.0.0.1:${port}` },
  ]) {
    const [engine] = Object.keys(urls) as ('kafka' | 'postgres' | 'redis')[];
    const refused = startEngines({ ...options, only: [engine!], urls });
    await expect(refused).rejects.toMatchObject({
      code: 'DEPENDENCY_UNAVAILABLE',
      message: expect.stringMatching(new RegExp(`the given ${engine} at (?!.*secret).*${port}.*ECONNREFUSED`)) as string,
    });
  }
});

it('refuses a wanted port that is in use, and stops again what it had started beside', async () => {
  const { redisUrl } = await startEngines({ ...options, only: ['redis'] });
  const taken = Number(new URL(redisUrl).port);
  await expect(startEngines({ ...options, only: ['postgres', 'kafka'], ports: { postgres: taken } })).rejects.toThrow(
    `port ${taken}, wanted for postgres, is in use`,
  );
  expect(readPidRecord(pidFile(stateDir, 'kafka'))).toBeUndefined();
  expect(runningEngines(stateDir).map(({ engine }) => engine)).toEqual(['redis']);
});

it('tells a port that somebody took in between from other failures, so that another one is tried', async () => {
  const { redisUrl, processes } = await startEngines({ ...options, only: ['redis'] });
  const taken = Number(new URL(redisUrl).port);
  const elsewhere = join(stateDir, 'elsewhere');
  const quiet = (): void => undefined;
  const redis = await findRedis(thisMachine(), options.cacheDir!, quiet);
  await expect(startRedis(elsewhere, redis, taken, false)).rejects.toMatchObject({ portTaken: true });
  await expect(startRedis(elsewhere, { ...redis, path: process.execPath }, await freePort(), false)).rejects.toMatchObject({
    portTaken: false,
  });
  const place = await placePostgres(thisMachine(), elsewhere, await findPostgres(thisMachine(), join(elsewhere, 'none')), quiet);
  await expect(startPostgres(elsewhere, place, taken, false, quiet)).rejects.toMatchObject({ portTaken: true });
  const java = await findJava(thisMachine(), options.cacheDir!, quiet);
  const jars = await findKafkaJars(thisMachine(), options.cacheDir!, java, quiet);
  const broker = startKafka(
    elsewhere,
    { java, jars, heapMb: 256, cacheDir: options.cacheDir! },
    { kafka: taken, kafkaController: await freePort() },
    false,
    quiet,
  );
  await expect(broker).rejects.toMatchObject({
    portTaken: true,
    message: expect.stringContaining(`failed to bind to 127.0.0.1:${taken}`) as string,
  });
  expect(isRunning(processes[0]!)).toBe(true);
});

it('starts again when what runs was started for another purpose', async () => {
  const durable = await startEngines({ ...options, only: ['redis'] });
  const forgetful = await startEngines({ ...options, only: ['redis'], durable: false });
  expect(pidsOf(forgetful)).not.toEqual(pidsOf(durable));
  expect(identityOf(durable.processes[0]!.pid)).toBeUndefined();
});

it('leaves nothing behind when it cleans', async () => {
  const engines = await startEngines({ ...options, only: ['redis', 'postgres'] });
  await cleanEngines(stateDir);
  nothingRuns(pidsOf(engines));
  expect(existsSync(join(stateDir, 'engines'))).toBe(false);
});

it.runIf(process.getuid?.() === 0)(
  'runs Postgres for root also below a folder that is closed to others, and cleans that up too',
  async () => {
    const closed = mkdtempSync(join(tmpdir(), 'engines-closed-'));
    try {
      const inside = { ...options, stateDir: join(closed, 'state'), only: ['postgres'] } as const;
      const first = await startEngines(inside);
      await query(first.postgresUrl, 'create table kept (id int)');
      await first.stop();
      const second = await startEngines(inside);
      expect(await query(second.postgresUrl, 'select * from kept')).toEqual([]);
      const { dataDir } = readRuntime(inside.stateDir).engines.postgres!;
      expect(dataDir).toMatch(/^\/var\/lib\/headrace\//);
      expect(statSync(closed).mode & 0o777).toBe(0o700);
      await cleanEngines(inside.stateDir);
      expect(existsSync(dataDir)).toBe(false);
    } finally {
      rmSync(closed, { recursive: true, force: true });
    }
  },
);
