import { AppError } from '@headrace/base/errors';
import type { ServiceName } from '@headrace/events/catalog';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Counter, Gauge, Registry } from 'prom-client';
import { refuseOpenDoor, type PlatformConfig } from '../config.js';
import { Log } from '../log.js';
import type { MainService } from '../service.js';
import { METRICS_TOPIC } from './messages.js';
import { ProcessGroup, type ProcessGroupOptions } from './process-group.js';

/** A process needs about a second; a cold disk and a busy machine more. */
const READY_TIMEOUT_MS = 60_000;
/** Beyond the wait for calls in flight: consumers leave their groups, logs are flushed. */
const STOP_GRACE_MS = 15_000;

/**
 * Runs several processes of a service behind the same two ports, and nothing else: it opens no door of its own. SIGTERM drains them all, SIGHUP
 * replaces one after the other.
 * @throws AppError CONFIG_INVALID where the ports cannot be shared, or are somebody else's.
 */
export async function supervise(
  name: ServiceName,
  config: PlatformConfig,
  group: Pick<ProcessGroupOptions, 'entry' | 'count' | 'envOf' | 'nodeOptions'>,
): Promise<MainService> {
  refuseOpenDoor(config);
  if (process.platform !== 'linux')
    throw new AppError('CONFIG_INVALID', `several processes share a port on Linux only, not on ${process.platform}`);
  if (config.grpcTransport !== 'wire')
    throw new AppError('CONFIG_INVALID', 'several processes on one port need HEADRACE_GRPC_TRANSPORT=wire');
  for (const port of [config.httpPort, config.grpcPort]) await refuseTakenPort(config.host, port);
  const log = Log.create(name, config.logLevel, `${config.instance}-supervisor`);
  const registry = new Registry();
  const processes: ProcessGroup = new ProcessGroup(
    {
      ...group,
      readyTimeoutMs: READY_TIMEOUT_MS,
      stopTimeoutMs: config.shutdownTimeoutMs + STOP_GRACE_MS,
      own: { [METRICS_TOPIC]: () => registry.getMetricsAsJSON() },
    },
    log,
  );
  addMetrics(registry, name, processes);
  const doors = await processes.start();
  log.info('all processes are ready', { processes: group.count, ...doors });
  let closing: Promise<void> | undefined;
  return {
    name,
    httpUrl: doors.http,
    grpcAddress: doors.grpc,
    reload: () => {
      log.info('rolling restart', { processes: group.count });
      return processes.roll();
    },
    close: () => (closing ??= processes.close()),
  };
}

/** Whoever listens there with a shared port too would get a part of our connections without any error. */
async function refuseTakenPort(host: string, port: number): Promise<void> {
  if (port === 0) return;
  const probe = createServer().listen({ host, port });
  try {
    await once(probe, 'listening');
  } catch (error) {
    throw new AppError('CONFIG_INVALID', `${host}:${port} is taken by another process; stop it, or choose another port`, { cause: error });
  }
  probe.close();
  await once(probe, 'close');
}

function addMetrics(registry: Registry, service: ServiceName, processes: ProcessGroup): void {
  registry.setDefaultLabels({ service });
  new Gauge({
    name: 'headrace_processes_ready',
    help: 'Processes behind the shared ports that are ready',
    registers: [registry],
    collect(): void {
      this.set(processes.ready);
    },
  });
  new Counter({
    name: 'headrace_process_restarts_total',
    help: 'Crashed processes that were started again',
    registers: [registry],
    collect(): void {
      this.reset();
      this.inc(processes.restarts);
    },
  });
}
