import { AppError, messageOf } from '@headrace/base/errors';
import { cacheDirFor } from './config.js';
import type { EngineName, EnginePorts, Say, StartEnginesOptions } from './engine.js';
import { reach } from './exchange.js';
import { freePort, isPortFree } from './free-port.js';
import { findJava } from './kafka/find-java.js';
import { findKafkaJars, KAFKA_VERSION } from './kafka/find-kafka.js';
import { clusterIdOf } from './kafka/format-log-folder.js';
import { probeKafka } from './kafka/probe-kafka.js';
import { kafkaBroker, startKafka } from './kafka/start-kafka.js';
import { dataDir, pidFile } from './layout.js';
import { thisMachine } from './machine.js';
import { findPostgres } from './postgres/find-postgres.js';
import { placePostgres, realDataDir } from './postgres/place-postgres.js';
import { probePostgres } from './postgres/probe-postgres.js';
import { postgresUrl, startPostgres } from './postgres/start-postgres.js';
import { isRunning, readPidRecord, type PidRecord } from './processes.js';
import { findRedis } from './redis/find-redis.js';
import { probeRedis } from './redis/probe-redis.js';
import { redisUrl, startRedis } from './redis/start-redis.js';
import { readRuntime, type RuntimeEngine } from './runtime-file.js';
import { stopUnlocked } from './stop-engines.js';
import { ServerEnded } from './wait-ready.js';

export interface EngineProcess extends PidRecord {
  /** It was running already when `startEngines` was called. */
  readonly reused: boolean;
}

export interface StartedEngine {
  readonly engine: EngineName;
  readonly url: string;
  /** Undefined when the URL was given. */
  readonly process?: EngineProcess;
  /** Only of an engine that this call started. */
  readonly ports?: Partial<EnginePorts>;
  readonly facts?: RuntimeEngine;
}

/** One engine, ready: the given URL, else a living process of this state folder, else a new one. */
export async function bringUp(engine: EngineName, options: StartEnginesOptions, say: Say): Promise<StartedEngine> {
  const given = options.urls?.[engine];
  if (given !== undefined) return await takeGiven(engine, given, say);
  const living = await takeLiving(engine, options, say);
  if (living !== undefined) return living;
  const fresh = await startWithFreePort(engine, options, say);
  say('ready', `${engine} on ${fresh.facts?.address} (pid ${fresh.process?.pid})`);
  return fresh;
}

async function takeGiven(engine: EngineName, url: string, say: Say): Promise<StartedEngine> {
  try {
    await GIVEN_CHECKS[engine](url);
  } catch (cause) {
    const reason = cause instanceof AggregateError ? cause.errors.map(messageOf).join('; ') : messageOf(cause);
    throw new AppError(
      'DEPENDENCY_UNAVAILABLE',
      `the given ${engine} at ${withoutPassword(url)} does not answer (${reason}); start it, or leave its URL out to get one started`,
      { cause },
    );
  }
  say('ready', `${engine} is given: ${withoutPassword(url)}`);
  return { engine, url };
}

const GIVEN_BOUND_MS = 5_000;
const GIVEN_CHECKS: Readonly<Record<EngineName, (url: string) => Promise<void>>> = {
  // It may want TLS or a login, which the services know about and we don't: only the connection is tried.
  kafka: async (url) => void (await Promise.any(url.split(',').map((broker) => reach(broker, GIVEN_BOUND_MS)))),
  postgres: (url) => probePostgres(url, GIVEN_BOUND_MS),
  redis: (url) => probeRedis(url, { timeoutMs: GIVEN_BOUND_MS }),
};

/** A process of an earlier run that answers and fits what is asked for; one that doesn't is stopped. */
async function takeLiving(engine: EngineName, options: StartEnginesOptions, say: Say): Promise<StartedEngine | undefined> {
  const living = readPidRecord(pidFile(options.stateDir, engine));
  if (living === undefined || !isRunning(living)) return undefined;
  const url = urlOf(engine, options.stateDir, living.port);
  const misfit = misfitOf(engine, living, options) ?? (await refusal(LIVING_CHECKS[engine](url, living, options.stateDir)));
  if (misfit === undefined) {
    say('reused', `${engine} still runs on 127.0.0.1:${living.port} (pid ${living.pid})`);
    return { engine, url, process: { ...living, reused: true } };
  }
  say('stopping', `${engine} of an earlier run (pid ${living.pid}) cannot be reused: ${misfit}`);
  await stopUnlocked(options.stateDir, [engine], options.report ?? (() => undefined));
  return undefined;
}

function misfitOf(engine: EngineName, living: PidRecord, options: StartEnginesOptions): string | undefined {
  const port = options.ports?.[engine];
  const durable = options.durable ?? true;
  if (port !== undefined && port !== living.port) return `it listens on ${living.port}, and ${port} is wanted`;
  return durable === living.durable ? undefined : `it was started with durable: ${living.durable}`;
}

async function refusal(probe: Promise<void>): Promise<string | undefined> {
  return await probe.then(() => undefined, messageOf);
}

/** It must be ours that answers, not a stranger on the same port. */
const LIVING_CHECKS: Readonly<Record<EngineName, (url: string, living: PidRecord, stateDir: string) => Promise<void>>> = {
  kafka: async (url, _living, stateDir) => await probeKafka(url, { clusterId: clusterIdOf(dataDir(stateDir, 'kafka')) }),
  postgres: (url) => probePostgres(url),
  redis: (url, { pid }) => probeRedis(url, { pid }),
};

function urlOf(engine: EngineName, stateDir: string, port: number): string {
  if (engine === 'kafka') return kafkaBroker(port);
  return engine === 'postgres' ? postgresUrl(stateDir, port) : redisUrl(port);
}

const PORT_TRIES = 3;

/** Between our look at a free port and the engine's bind somebody may take it: then look again. */
async function startWithFreePort(engine: EngineName, options: StartEnginesOptions, say: Say): Promise<StartedEngine> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { process, ports, ...facts } = await STARTERS[engine](options, say);
      const address = `127.0.0.1:${process.port}`;
      const url = urlOf(engine, options.stateDir, process.port);
      return { engine, url, process: { ...process, reused: false }, ports, facts: { ...facts, address, durable: process.durable } };
    } catch (thrown) {
      if (!(thrown instanceof ServerEnded) || !thrown.portTaken || attempt === PORT_TRIES) throw thrown;
    }
  }
}

interface Launched extends Pick<RuntimeEngine, 'version' | 'program' | 'dataDir'> {
  readonly process: PidRecord;
  readonly ports: Partial<EnginePorts>;
}

/** Find the programs (or bring them), choose ports, start, wait until it answers. */
const STARTERS: Readonly<Record<EngineName, (options: StartEnginesOptions, say: Say) => Promise<Launched>>> = {
  kafka: async (options, say) => {
    const { stateDir, cacheDir = cacheDirFor(stateDir), javaHeapMb: heapMb = 256, durable = true } = options;
    const java = await findJava(thisMachine(), cacheDir, say);
    const jars = await findKafkaJars(thisMachine(), cacheDir, java, say);
    const ports = { kafka: await choosePort('kafka', options), kafkaController: await choosePort('kafkaController', options) };
    say('starting', `Kafka ${KAFKA_VERSION} on Java ${java.version}`);
    const process = await startKafka(stateDir, { java, jars, heapMb, cacheDir }, ports, durable, say);
    return { process, ports, version: KAFKA_VERSION, program: java.path, dataDir: dataDir(stateDir, 'kafka') };
  },
  postgres: async (options, say) => {
    const { stateDir, durable = true } = options;
    const programs = await findPostgres(thisMachine(), realDataDir(stateDir));
    const place = await placePostgres(thisMachine(), stateDir, programs, say);
    const port = await choosePort('postgres', options);
    say('starting', `PostgreSQL ${programs.version} from ${place.binDir}`);
    const process = await startPostgres(stateDir, place, port, durable, say);
    return { process, ports: { postgres: port }, version: programs.version, program: place.binDir, dataDir: place.dataDir };
  },
  redis: async (options, say) => {
    const { stateDir, cacheDir = cacheDirFor(stateDir), durable = true } = options;
    const program = await findRedis(thisMachine(), cacheDir, say);
    const port = await choosePort('redis', options);
    say('starting', `Redis ${program.version} from ${program.path}`);
    const process = await startRedis(stateDir, program, port, durable);
    return { process, ports: { redis: port }, version: program.version, program: program.path, dataDir: dataDir(stateDir, 'redis') };
  },
};

/** Asked for, else the last run's while it is free, else a free one. */
async function choosePort(name: keyof EnginePorts, options: StartEnginesOptions): Promise<number> {
  const asked = options.ports?.[name];
  if (asked !== undefined) {
    if (await isPortFree(asked)) return asked;
    throw new AppError(
      'CONFIG_INVALID',
      `port ${asked}, wanted for ${name}, is in use on 127.0.0.1; choose another, or give the URL of what listens there`,
    );
  }
  const last = readRuntime(options.stateDir).ports[name];
  return last !== undefined && (await isPortFree(last)) ? last : await freePort();
}

function withoutPassword(url: string): string {
  return url.replace(/(:\/\/[^:@/]*):[^@/]*@/, '$1:***@');
}
