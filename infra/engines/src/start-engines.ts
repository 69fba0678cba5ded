import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { AppError, messageOf } from '@headrace/base/errors';
import { bringUp, type EngineProcess, type StartedEngine } from './bring-up.js';
import { ENGINE_NAMES, type EngineName, type EnginePorts, type StartEnginesOptions } from './engine.js';
import { readRuntime, writeRuntime } from './runtime-file.js';
import { withStartLock } from './start-lock.js';
import { LOCK_WAIT_MS, stopUnlocked } from './stop-engines.js';

export interface RunningEngines {
  /** Empty when `only` leaves Kafka out; so are the URLs below. */
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
  const { stateDir, only: wanted = ENGINE_NAMES, report = () => undefined } = options;
  const begin = Date.now();
  const results = await Promise.allSettled(
    wanted.map((engine) => bringUp(engine, options, (phase, text) => report({ engine, phase, text, elapsedMs: Date.now() - begin }))),
  );
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  if (failures.length > 0) {
    // Also one that failed may still run: it has a pid file but never answered.
    const kept = started.filter(({ process }) => process?.reused === true).map(({ engine }) => engine);
    await stopUnlocked(
      stateDir,
      wanted.filter((engine) => !kept.includes(engine)),
      report,
    );
    throw failures.length === 1 ? failures[0] : combine(failures);
  }
  remember(stateDir, started);
  const urlOf = (engine: EngineName): string => started.find((one) => one.engine === engine)?.url ?? '';
  return {
    kafkaBrokers: urlOf('kafka')
      .split(',')
      .filter((broker) => broker !== ''),
    postgresUrl: urlOf('postgres'),
    redisUrl: urlOf('redis'),
    processes: started.flatMap(({ process }) => (process === undefined ? [] : [process])),
    stop: async () => {
      const ours = started.filter(({ process }) => process !== undefined).map(({ engine }) => engine);
      await withStartLock(stateDir, LOCK_WAIT_MS, () => stopUnlocked(stateDir, ours, report));
    },
  };
}

function remember(stateDir: string, started: readonly StartedEngine[]): void {
  const before = readRuntime(stateDir);
  writeRuntime(stateDir, {
    ports: Object.assign({}, before.ports, ...started.map(({ ports }) => ports ?? {})) as Partial<EnginePorts>,
    engines: {
      ...before.engines,
      ...Object.fromEntries(started.flatMap(({ engine, facts }) => (facts === undefined ? [] : [[engine, facts]]))),
    },
  });
}

/** Several engines are missing: all in one message, so that the reader needs one round. */
function combine(failures: readonly unknown[]): AppError {
  const first = failures.find((failure) => failure instanceof AppError);
  return new AppError(first?.code ?? 'INTERNAL', failures.map(messageOf).join('\n'), { cause: new AggregateError(failures) });
}
