import 'reflect-metadata';
import { AppError, messageOf } from '@headrace/base/errors';
import type { ServiceName } from '@headrace/events/catalog';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { NestFactory } from '@nestjs/core';
import type { DynamicModule, INestApplication, LoggerService, Type } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import { refuseOpenDoor, type PlatformConfig } from './config.js';
import type { GrpcService } from './grpc/definition.js';
import { GrpcHealth } from './grpc/health.js';
import { reflectionServices } from './grpc/reflection.js';
import { startGrpcServer, type RunningGrpcServer } from './grpc/server.js';
import { startWireServer } from './grpc/wire-server.js';
import { Guard, PLATFORM_GUARD, type GuardTable } from './guard.js';
import { HttpDoors } from './http/doors.js';
import { addHealthRoutes, type Checks } from './http/health-routes.js';
import { followRenewals, httpsOptions } from './http/https-door.js';
import { ProblemFilter } from './http/problem-filter.js';
import { Log } from './log.js';
import { say, type Siblings } from './processes/siblings.js';
import { Resources } from './resources.js';
import { Telemetry } from './telemetry.js';
import { plainTextWarnings } from './tls/plain-text.js';
import { TlsCertificates } from './tls/tls-certificates.js';

/** Something that works without being called: a consumer, a relay, a poller. Started last, stopped first. */
export interface Background {
  readonly name: string;
  start(): Promise<void>;
  /** Ends the work in hand, bounded; nothing runs after it resolves. */
  stop(): Promise<void>;
}

export interface ServiceOptions {
  readonly name: ServiceName;
  readonly config: PlatformConfig;
  readonly module: DynamicModule | Type;
  readonly guard: GuardTable;
  readonly grpc: (app: INestApplication) => readonly GrpcService[];
  readonly background?: (app: INestApplication) => readonly Background[];
  /** Dependencies without which the service cannot do its work. */
  readonly checks?: (app: INestApplication) => Checks;
  /** Other processes of this service on the same ports, when a supervisor runs several. */
  readonly siblings?: Siblings;
  /** For routes that need more than Nest gives: body parsers, streams. */
  readonly configureHttp?: (server: FastifyInstance, app: INestApplication) => void | Promise<void>;
}

export interface RunningService {
  readonly name: ServiceName;
  readonly httpUrl: string;
  /** `host:port`, or `https://host:port` with TLS. */
  readonly grpcAddress: string;
  readonly app: INestApplication;
  /** Takes changed certificate files into use now; only with TLS. */
  readonly reload?: () => Promise<void>;
  /** Graceful and idempotent: not ready -> background stops -> calls in flight end -> doors close -> pools close. */
  close(): Promise<void>;
}

const BODY_LIMIT_BYTES = 16 * 1024 * 1024;

/** Builds and opens one service. Whatever was opened is closed again when a later step fails. */
export async function startService(options: ServiceOptions): Promise<RunningService> {
  const { name, config } = options;
  refuseOpenDoor(config);
  const guard = new Guard(options.guard, config.apiKey);
  const adapter = new FastifyAdapter({
    bodyLimit: BODY_LIMIT_BYTES,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 256 },
    ...httpsOptions(config),
  });
  const server = adapter.getInstance() as unknown as FastifyInstance;
  const bootLog = Log.create(name, config.logLevel, config.instance);
  const app = await NestFactory.create(options.module, adapter, { logger: nestLogger(bootLog), abortOnError: false, bodyParser: true });
  const [log, telemetry, tls] = [app.get(Log), app.get(Telemetry), app.get(TlsCertificates)];
  for (const warning of plainTextWarnings(config)) log.warn(warning);

  let state: 'starting' | 'ready' | 'stopping' = 'starting';
  const opened: (() => Promise<void>)[] = [() => app.get(Resources).closeAll(log), () => telemetry.close()];
  const closeAll = async (): Promise<void> => {
    for (const close of opened.reverse()) await close().catch((error: unknown) => log.error('close failed', { error }));
    opened.length = 0;
  };
  try {
    const doors = new HttpDoors();
    doors.install(server, guard, tls.isMutual, telemetry, log);
    options.siblings?.answerMetrics(telemetry);
    addHealthRoutes(server, () => state, options.checks?.(app) ?? {}, telemetry, options.siblings);
    await options.configureHttp?.(server, app);
    app.useGlobalFilters(new ProblemFilter(log));

    const services = options.grpc(app);
    const names = services.map((service) => service.fullName);
    const health = new GrpcHealth(names);
    const allGrpc = [...services, health.service(), ...reflectionServices([...names, 'grpc.health.v1.Health'])];

    await app.init();
    refuseUnguarded(guard, doors.routes, allGrpc);
    const reusePort = (options.siblings?.slot ?? -1) >= 0;
    const unfollow = followRenewals(server, tls);
    // Nest hands the object on as it is.
    await app.listen({ port: config.httpPort, host: config.host, reusePort } as unknown as number);
    opened.push(() => app.close());
    opened.push(() => Promise.resolve(unfollow()));
    const startGrpc = config.grpcTransport === 'wire' ? startWireServer : startGrpcServer;
    const grpc: RunningGrpcServer = await startGrpc({
      host: config.host,
      port: config.grpcPort,
      reusePort,
      services: allGrpc,
      tls: tls.doors && { material: tls.doors, isMutual: tls.isMutual },
      guard,
      telemetry,
      log,
    });
    opened.push(() => grpc.close(config.shutdownTimeoutMs));

    for (const background of options.background?.(app) ?? []) {
      await background.start();
      opened.push(() => background.stop());
    }
    state = 'ready';
    health.set(true);
    const httpUrl = await urlOf(app, tls.doors !== undefined);
    log.info('service is ready', { http: httpUrl, grpc: grpc.address });
    opened.push(() => {
      state = 'stopping';
      health.set(false);
      return Promise.resolve();
    });

    let closing: Promise<void> | undefined;
    return {
      name,
      app,
      httpUrl,
      grpcAddress: grpc.address,
      ...(tls.isUsed ? { reload: () => tls.reload() } : {}),
      close: () => (closing ??= closeAll()),
    };
  } catch (error) {
    await closeAll();
    await app.close().catch(() => undefined);
    throw error;
  }
}

/** Nest does not know that its server speaks TLS. */
async function urlOf(app: INestApplication, isTls: boolean): Promise<string> {
  const url = (await app.getUrl()).replace('[::1]', '127.0.0.1');
  return isTls ? url.replace(/^http:/, 'https:') : url;
}

/** Deny by default, at start: a door outside the table, or a row without a door, is a mistake to mend now. */
function refuseUnguarded(guard: Guard, routes: readonly string[], services: readonly GrpcService[]): void {
  const methods = services.flatMap((service) => service.methods.map((method) => method.path));
  const missing = [...guard.missing('http', routes), ...guard.missing('grpc', methods)];
  const unused = [...guard.unused('http', routes), ...guard.unused('grpc', methods)].filter(
    (door) => !Object.hasOwn(PLATFORM_GUARD.grpc, door),
  );
  if (missing.length > 0) throw new AppError('CONFIG_INVALID', `doors without a row in the guard table: ${missing.join(', ')}`);
  if (unused.length > 0) throw new AppError('CONFIG_INVALID', `rows of the guard table without a door: ${unused.join(', ')}`);
}

/** Nest speaks only when something is wrong; the rest would drown the facts. */
function nestLogger(log: Log): LoggerService {
  const quiet = (message: unknown, ...rest: unknown[]): void => log.debug(String(message), { context: rest.at(-1) });
  return {
    log: quiet,
    debug: quiet,
    verbose: quiet,
    warn: (message: unknown) => log.warn(String(message)),
    error: (message: unknown) => log.error(String(message)),
    fatal: (message: unknown) => log.error(String(message)),
  };
}

/** What runMain runs. */
export type MainService = Pick<RunningService, 'name' | 'close'> &
  Partial<Pick<RunningService, 'httpUrl' | 'grpcAddress'>> & {
    /** What SIGHUP does; without it SIGHUP ends the process, as everywhere. */
    readonly reload?: () => Promise<void>;
  };

/**
 * Body of every main.ts: start, say so in one JSON line on stdout (and to the supervisor, if there is one), stop on SIGTERM or SIGINT, or when
 * the supervisor has gone. Exit 78 = bad configuration.
 */
export function runMain(start: () => Promise<MainService>): void {
  runTool(async () => {
    // Under a supervisor: nobody would stop us, should it go before we are ready.
    let leave = (): void => process.exit(1);
    process.once('disconnect', () => leave());
    const service = await start();
    process.stdout.write(
      `${JSON.stringify({ ready: service.name, http: service.httpUrl, grpc: service.grpcAddress, pid: process.pid })}\n`,
    );
    const stop = (): void => void service.close().then(() => process.exit(0), exitWith);
    leave = stop;
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
    const { reload } = service;
    if (reload) process.on('SIGHUP', () => void reload());
    say({ kind: 'ready', http: service.httpUrl ?? '', grpc: service.grpcAddress ?? '' });
  });
}

/** Body of an entry file that does one thing and ends. What nobody caught ends the process with one JSON line that says why. */
export function runTool(work: () => Promise<void>): void {
  process.on('unhandledRejection', exitWith);
  process.on('uncaughtException', exitWith);
  work().catch(exitWith);
}

function exitWith(error: unknown): never {
  const known = error instanceof AppError ? error : undefined;
  const stack = known || !(error instanceof Error) ? undefined : error.stack;
  process.stderr.write(`${JSON.stringify({ level: 'fatal', msg: messageOf(error), code: known?.code ?? 'INTERNAL', stack })}\n`);
  process.exit(known?.code === 'CONFIG_INVALID' ? 78 : 1);
}
