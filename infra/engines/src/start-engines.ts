import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { AppError } from '@headrace/base/errors';
import { cacheDirFor } from './config.js';
import { ENGINE_NAMES, type EngineName, type EnginePorts, type EngineProgress, type EngineUrls, type Say } from './engine.js';
import { freePort, isPortFree } from './free-port.js';
import { findJava } from './kafka/find-java.js';
import { findKafkaJars, KAFKA_VERSION } from './kafka/find-kafka.js';
import { kafkaBroker, startKafka } from './kafka/start-kafka.js';
import { dataDir, pidFile } from './layout.js';
import { findPostgres } from './postgres/find-postgres.js';
import { placePostgres, realDataDir } from './postgres/place-postgres.js';
import { postgresUrl, startPostgres } from './postgres/start-postgres.js';
import { probeKafka, probePostgres, probeRedis, probeTcp } from './probes.js';
import { isRunning, readPidRecord, type PidRecord } from './processes.js';
import { findRedis } from './redis/find-redis.js';
import { redisUrl, startRedis } from './redis/start-redis.js';
import { readRuntime, writeRuntime, type RuntimeEngine } from './runtime-file.js';
import { withStartLock } from './start-lock.js';
import { LOCK_WAIT_MS, stopUnlocked } from './stop-engines.js';
import { ServerEnded } from './wait-ready.js';

export interface StartEnginesOptions {
  /** Data, logs, pid files and runtime.json go to `<stateDir>/engines`. */
  readonly stateDir: string;
  /** Downloads, shared by runs; default HEADRACE_CACHE, else `<stateDir>/cache`. */
  readonly cacheDir?: string;
  /** Default: the ports of the last run in this state folder while they are free, else free ones. */
  readonly ports?: Partial<EnginePorts>;
  /** Engines that somebody else runs. They must answer; nothing is started for them. */
  readonly urls?: EngineUrls;
  /** Default: all three. */
  readonly only?: readonly EngineName[];
  /** false: quick and forgetful, for tests (no fsync, no append-only file). Default true. */
  readonly durable?: boolean;
  /** Heap of the broker; default 256. */
  readonly javaHeapMb?: number;
  readonly report?: (line: EngineProgress) => void;
}

export interface EngineProcess extends PidRecord {
  /** It was running already when `startEngines` was called. */
  readonly reused: boolean;
}

export interface RunningEngines {
  readonly kafkaBrokers: string[];
  /** Carries the password of the state folder: treat it as a secret. */
  readonly postgresUrl: string;
  readonly redisUrl: string;
  /** What we started or found running; engines given by URL are not among them. */
  readonly processes: EngineProcess[];
  /** Stops these processes (also reused ones) and removes their pid files. */
  stop(): Promise<void>;
}

/**
 * Brings real Kafka, Postgres and Redis up, side by side, and returns when each has answered a request. Engines of an earlier run
 * that still live in this state folder are taken as they are. When one engine fails, those that this call started are stopped again.
 */
export async function startEngines(options: StartEnginesOptions): Promise<RunningEngines> {
  const stateDir = resolve(options.stateDir);
  mkdirSync(stateDir, { recursive: true });
  return await withStartLock(stateDir, LOCK_WAIT_MS, () => startUnlocked({ ...options, stateDir }));
}

async function startUnlocked(options: StartEnginesOptions): Promise<RunningEngines> {
  const { stateDir } = options;
  const begin = Date.now();
  const report = options.report ?? (() => undefined);
  const sayAs = (engine: EngineName): Say => (phase, text) => report({ engine, phase, text, elapsedMs: Date.now() - begin });
  const wanted = options.only ?? ENGINE_NAMES;
  const results = await Promise.allSettled(wanted.map((engine) => bringUp(engine, options, sayAs(engine))));
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  if (failures.length > 0) {
    const fresh = started.filter(({ process }) => process?.reused === false).map(({ engine }) => engine);
    await stopUnlocked(stateDir, fresh, report);
    throw failures.length === 1 ? failures[0] : combine(failures);
  }
  record(stateDir, started);
  const addressOf = (engine: EngineName): string => started.find((one) => one.engine === engine)?.url ?? '';
  return {
    kafkaBrokers: addressOf('kafka').split(',').filter((broker) => broker !== ''),
    postgresUrl: addressOf('postgres'),
    redisUrl: addressOf('redis'),
    processes: started.flatMap(({ process }) => (process === undefined ? [] : [process])),
    stop: async () => {
      const ours = started.filter(({ process }) => process !== undefined).map(({ engine }) => engine);
      await withStartLock(stateDir, LOCK_WAIT_MS, () => stopUnlocked(stateDir, ours, report));
    },
  };
}

interface StartedEngine {
  readonly engine: EngineName;
  readonly url: string;
  readonly process?: EngineProcess;
  readonly ports?: Partial<EnginePorts>;
  readonly facts?: RuntimeEngine;
}

/** Given URL, else a living engine of this state folder, else a new one. */
async function bringUp(engine: EngineName, options: StartEnginesOptions, say: Say): Promise<StartedEngine> {
  const given = options.urls?.[engine];
  if (given !== undefined) {
    await checkGiven(engine, given);
    say('ready', `${engine} is given: ${withoutPassword(given)}`);
    return { engine, url: given };
  }
  const living = await findLiving(engine, options, say);
  if (living !== undefined) return living;
  const cacheDir = options.cacheDir ?? cacheDirFor(options.stateDir);
  return await retryWithOtherPort(options.ports, () => STARTERS[engine](options, cacheDir, say));
}

const GIVEN_KEYS: Readonly<Record<EngineName, (url: string) => Promise<void>>> = {
  kafka: async (url) => void (await Promise.any(url.split(',').map((broker) => probeTcp(broker)))),
  postgres: (url) => probePostgres(url, 5_000),
  redis: (url) => probeRedis(url, 5_000),
};

async function checkGiven(engine: EngineName, url: string): Promise<void> {
  try {
    await GIVEN_KEYS[engine](url);
  } catch (cause) {
    const reason = cause instanceof AggregateError ? cause.errors.map(String).join('; ') : String(cause);
    throw new AppError('DEPENDENCY_UNAVAILABLE', `the given ${engine} at ${withoutPassword(url)} does not answer (${reason}); start it, or leave its URL out to get one started`, { cause });
  }
}

async function findLiving(engine: EngineName, options: StartEnginesOptions, say: Say): Promise<StartedEngine | undefined> {
  const living = readPidRecord(pidFile(options.stateDir, engine));
  if (living === undefined || !(await isRunning(living))) return undefined;
  const { port } = living;
  const asked = options.ports?.[engine];
  try {
    if (asked !== undefined && asked !== port) throw new AppError('CONFIG_INVALID', `it listens on ${port} and ${asked} is wanted`);
    const url = urlOf(engine, options.stateDir, port);
    await PROBES[engine](url);
    say('reused', `${engine} still runs on ${port} (pid ${living.pid})`);
    return { engine, url, process: { ...living, reused: true } };
  } catch (thrown) {
    say('stopping', `${engine} of an earlier run (pid ${living.pid}) cannot be reused: ${String(thrown)}`);
    await stopUnlocked(options.stateDir, [engine], options.report ?? (() => undefined));
    return undefined;
  }
}

const PROBES: Readonly<Record<EngineName, (url: string) => Promise<void>>> = {
  kafka: (url) => probeKafka(url),
  postgres: (url) => probePostgres(url),
  redis: (url) => probeRedis(url),
};

function urlOf(engine: EngineName, stateDir: string, port: number): string {
  if (engine === 'kafka') return kafkaBroker(port);
  return engine === 'postgres' ? postgresUrl(stateDir, port) : redisUrl(port);
}

type Starter = (options: StartEnginesOptions, cacheDir: string, say: Say) => Promise<StartedEngine>;

const STARTERS: Readonly<Record<EngineName, Starter>> = {
  kafka: async (options, cacheDir, say) => {
    const java = await findJava(cacheDir, say);
    const jars = await findKafkaJars(cacheDir, java, say);
    const ports = { kafka: await choosePort('kafka', options), kafkaController: await choosePort('kafkaController', options) };
    say('starting', `Kafka ${KAFKA_VERSION} on Java ${java.version}`);
    const process = await startKafka(options.stateDir, { java: java.path, jars, heapMb: options.javaHeapMb ?? 256 }, ports, say);
    return finish('kafka', kafkaBroker(ports.kafka), process, ports, { version: KAFKA_VERSION, program: java.path, dataDir: dataDir(options.stateDir, 'kafka') }, options, say);
  },
  postgres: async (options, _cacheDir, say) => {
    const data = realDataDir(options.stateDir);
    const programs = await findPostgres(data);
    const place = await placePostgres(options.stateDir, programs, say);
    const port = await choosePort('postgres', options);
    say('starting', `PostgreSQL ${programs.version} from ${place.binDir}`);
    const process = await startPostgres(options.stateDir, place, port, options.durable ?? true, say);
    return finish('postgres', postgresUrl(options.stateDir, port), process, { postgres: port }, { version: programs.version, program: place.binDir, dataDir: place.dataDir }, options, say);
  },
  redis: async (options, cacheDir, say) => {
    const program = await findRedis(cacheDir, say);
    const port = await choosePort('redis', options);
    say('starting', `Redis ${program.version} from ${program.path}`);
    const process = await startRedis(options.stateDir, program, port, options.durable ?? true);
    return finish('redis', redisUrl(port), process, { redis: port }, { version: program.version, program: program.path, dataDir: dataDir(options.stateDir, 'redis') }, options, say);
  },
};

function finish(
  engine: EngineName,
  url: string,
  process: PidRecord,
  ports: Partial<EnginePorts>,
  facts: Pick<RuntimeEngine, 'version' | 'program' | 'dataDir'>,
  options: StartEnginesOptions,
  say: Say,
): StartedEngine {
  say('ready', `${engine} on 127.0.0.1:${ports[engine]} (pid ${process.pid})`);
  const address = `127.0.0.1:${ports[engine]}`;
  return { engine, url, process: { ...process, reused: false }, ports, facts: { ...facts, address, durable: options.durable ?? true } };
}

/** Asked for, else the last run's while it is free, else a free one. */
async function choosePort(name: keyof EnginePorts, options: StartEnginesOptions): Promise<number> {
  const asked = options.ports?.[name];
  if (asked !== undefined) {
    if (await isPortFree(asked)) return asked;
    throw new AppError('CONFIG_INVALID', `port ${asked}, wanted for ${name}, is in use on 127.0.0.1; choose another, or give the URL of what listens there`);
  }
  const last = readRuntime(options.stateDir).ports[name];
  return last !== undefined && (await isPortFree(last)) ? last : await freePort();
}

const PORT_TRIES = 3;

/** Between our look at a free port and the engine's bind somebody may take it: then look again. */
async function retryWithOtherPort(asked: Partial<EnginePorts> | undefined, start: () => Promise<StartedEngine>): Promise<StartedEngine> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start();
    } catch (thrown) {
      if (!(thrown instanceof ServerEnded) || !thrown.portTaken || asked !== undefined || attempt === PORT_TRIES) throw thrown;
    }
  }
}

function record(stateDir: string, started: readonly StartedEngine[]): void {
  const before = readRuntime(stateDir);
  writeRuntime(stateDir, {
    ports: Object.assign({}, before.ports, ...started.map(({ ports }) => ports ?? {})) as Partial<EnginePorts>,
    engines: { ...before.engines, ...Object.fromEntries(started.flatMap(({ engine, facts }) => (facts === undefined ? [] : [[engine, facts]]))) },
  });
}

function combine(failures: readonly unknown[]): AppError {
  const first = failures.find((failure) => failure instanceof AppError);
  const text = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure))).join('\n');
  return new AppError(first?.code ?? 'INTERNAL', text, { cause: new AggregateError(failures) });
}

function withoutPassword(url: string): string {
  return url.replace(/(:\/\/[^:@/]*):[^@/]*@/, '$1:***@');
}
