import { AppError } from '@headrace/base/errors';
import { portOf } from '@headrace/base/peer-address';
import { freePort, isPortFree } from '@headrace/engines/free-port';
import { startEngines, type RunningEngines } from '@headrace/engines/start-engines';
import { stopEngines } from '@headrace/engines/stop-engines';
import { stopProcess } from '@headrace/engines/processes';
import { join, resolve } from 'node:path';
import { inheritedEnvironment, type CliConfig } from '../config.js';
import type { Progress } from '../terminal/progress.js';
import { databaseUrl, ensureDatabases } from './databases.js';
import { readRuntime, removeRuntime, writeRuntime } from './runtime-file.js';
import { launch, type ServiceProcess, type ServiceRecord } from './service-process.js';
import { assignDoors, SERVICES, type Endpoints } from './services.js';

export interface Cluster {
  readonly endpoints: Endpoints;
  readonly kafkaBrokers: readonly string[];
  readonly services: readonly ServiceProcess[];
  readonly engines: RunningEngines;
  /** Services first (each ends its calls in flight), then the engines. */
  stop(): Promise<void>;
}

/** Engines, databases, then the services side by side. What was started is stopped again when a later step fails. */
export async function startCluster(config: CliConfig, progress: Progress, prepare: () => Promise<void>): Promise<Cluster> {
  const stateDir = resolve(config.stateDir);
  // Left-overs of a run that was killed hold ports and consumer groups.
  await stopServices(readRuntime(stateDir)?.services ?? []);
  const isTls = config.tlsCertFile !== '';
  // Fixed ports are looked at first, so that a taken one is said at once. Free ones are found last, or they may be another program's by then.
  const fixedDoors = config.portBase === 0 ? undefined : await assignDoors(config.portBase, isTls, pickPort);
  const services: ServiceProcess[] = [];
  let engines: RunningEngines | undefined;
  const stop = async (): Promise<void> => {
    await stopServices(services);
    await engines?.stop();
    removeRuntime(stateDir);
  };
  try {
    const [running] = await Promise.all([
      startEngines({
        stateDir,
        urls: {
          ...(config.kafkaBrokers.length > 0 ? { kafka: config.kafkaBrokers.join(',') } : {}),
          ...(config.postgresUrl ? { postgres: config.postgresUrl } : {}),
          ...(config.redisUrl ? { redis: config.redisUrl } : {}),
        },
        report: ({ engine, phase, text, elapsedMs }) => progress.line(`${engine}: ${phase} ${text}`.trimEnd(), elapsedMs),
      }),
      prepare(),
    ]);
    engines = running;
    await ensureDatabases(
      running.postgresUrl,
      SERVICES.flatMap((service) => service.database ?? []),
    );
    const endpoints = fixedDoors ?? (await assignDoors(0, isTls, pickPort));
    const launches = SERVICES.map(async (service) => {
      const process = await launch({
        name: service.name,
        entry: service.entry,
        nodeOptions: service.nodeOptions ?? [],
        logFile: join(stateDir, 'logs', `${service.name}.log`),
        readyTimeoutMs: config.readyTimeoutMs,
        env: environmentOf(service.name, service.database, config, running, endpoints),
      });
      progress.line(`${service.name}: ready`, process.readyMs);
      services.push(process);
      writeRuntime(stateDir, {
        endpoints,
        kafkaBrokers: running.kafkaBrokers,
        services: services.map(recordOf),
        startedAt: new Date().toISOString(),
      });
    });
    const failed = (await Promise.allSettled(launches)).find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
    return { endpoints, kafkaBrokers: running.kafkaBrokers, services, engines: running, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** For `down`: what an earlier `start` left running, by its runtime and pid files. @returns names of what was stopped */
export async function stopCluster(stateDir: string): Promise<string[]> {
  const stopped = await stopServices(readRuntime(stateDir)?.services ?? []);
  const engines = await stopEngines(stateDir);
  removeRuntime(stateDir);
  return [
    ...stopped,
    ...Object.entries(engines)
      .filter(([, outcome]) => outcome.how !== 'was not running')
      .map(([name]) => name),
  ];
}

/** Longest that a service may take to end its calls and flush its logs before it is killed. */
const STOP_WAIT_MS = 15_000;

async function stopServices(services: readonly ServiceRecord[]): Promise<string[]> {
  const outcomes = await Promise.all(
    services.map(async (service) => ({ service, ...(await stopProcess(service, [{ signal: 'SIGTERM', waitMs: STOP_WAIT_MS }])) })),
  );
  return outcomes.filter(({ how }) => how !== 'was not running').map(({ service }) => service.name);
}

function environmentOf(
  name: string,
  database: string | undefined,
  config: CliConfig,
  engines: RunningEngines,
  endpoints: Endpoints,
): Readonly<Record<string, string | undefined>> {
  const own = name in endpoints ? endpoints[name as keyof Endpoints] : undefined;
  return {
    ...inheritedEnvironment(),
    HEADRACE_STATE: resolve(config.stateDir),
    HEADRACE_KAFKA_BROKERS: engines.kafkaBrokers.join(','),
    HEADRACE_POSTGRES_URL: database ? databaseUrl(engines.postgresUrl, database) : '',
    HEADRACE_REDIS_URL: engines.redisUrl,
    HEADRACE_API_KEY: config.apiKey,
    HEADRACE_LOG_LEVEL: config.logLevel,
    ...(own ? { HEADRACE_HTTP_PORT: new URL(own.http).port, HEADRACE_GRPC_PORT: String(portOf(own.grpc)) } : {}),
    ...Object.fromEntries(
      Object.entries(endpoints).flatMap(([service, doors]) => {
        const prefix = `HEADRACE_${service.toUpperCase().replaceAll('-', '_')}`;
        return [
          [`${prefix}_GRPC`, doors.grpc],
          [`${prefix}_HTTP`, doors.http],
        ];
      }),
    ),
  };
}

function recordOf({ name, pid, identity, command, logFile }: ServiceProcess): ServiceRecord {
  return { name, pid, identity, command, logFile };
}

async function pickPort(wanted: number): Promise<number> {
  if (wanted === 0) return freePort();
  if (await isPortFree(wanted)) return wanted;
  throw new AppError(
    'CONFIG_INVALID',
    `port ${wanted} is taken; stop what listens there (\`npm run down\` if it is an earlier run), or set HEADRACE_PORT_BASE to another base (0 = any free ports)`,
  );
}
