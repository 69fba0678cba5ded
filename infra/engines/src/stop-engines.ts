import { rmSync } from 'node:fs';
import { ENGINE_NAMES, type EngineName, type EngineProgress } from './engine.js';
import { enginesDir, pidFile } from './layout.js';
import { adoptRecording, discardRecording } from './kafka/class-archive.js';
import { removeOutsideFolder } from './postgres/place-postgres.js';
import { isRunning, readPidRecord, removePidFile, stopProcess, type PidRecord, type StopOutcome, type StopStep } from './processes.js';
import { withStartLock } from './start-lock.js';

export type StoppedEngines = Partial<Record<EngineName, StopOutcome>>;

/** Longer than a start with its downloads may take. */
export const LOCK_WAIT_MS = 15 * 60_000;

/** Stops what a former run left, by its pid files; engines stop side by side. Nothing left to stop is fine. */
export async function stopEngines(stateDir: string, report: (line: EngineProgress) => void = () => undefined): Promise<StoppedEngines> {
  return await withStartLock(stateDir, LOCK_WAIT_MS, () => stopUnlocked(stateDir, ENGINE_NAMES, report));
}

/** For callers that hold the start lock. Each engine is brought to its end, whatever happens to the others. */
export async function stopUnlocked(
  stateDir: string,
  engines: readonly EngineName[],
  report: (line: EngineProgress) => void,
): Promise<StoppedEngines> {
  const begin = Date.now();
  const results = await Promise.allSettled(
    engines.map(async (engine) => {
      const file = pidFile(stateDir, engine);
      const record = readPidRecord(file);
      if (record === undefined) return [];
      const outcome = await stopProcess(record, STEPS[engine]);
      keepClasses(record, outcome);
      removePidFile(file);
      report({
        engine,
        phase: 'stopped',
        text: `${outcome.how === 'stopped' ? '' : `(${outcome.how}) `}pid ${record.pid}`,
        elapsedMs: Date.now() - begin,
      });
      return [[engine, outcome] as const];
    }),
  );
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return Object.fromEntries(results.flatMap((result) => (result.status === 'fulfilled' ? result.value : [])));
}

/** Stops the engines and removes their data, logs and pid files; the download cache stays. */
export async function cleanEngines(stateDir: string): Promise<void> {
  await stopEngines(stateDir);
  rmSync(enginesDir(stateDir), { recursive: true, force: true });
  removeOutsideFolder(stateDir);
}

/** The engines of this state folder that live now. */
export function runningEngines(stateDir: string): PidRecord[] {
  const records = ENGINE_NAMES.map((engine) => readPidRecord(pidFile(stateDir, engine)));
  return records.filter((record) => record !== undefined).filter(isRunning);
}

/**
 * SIGTERM would make Postgres wait for its clients; SIGINT is its fast shutdown, SIGQUIT the one that leaves recovery to the next start.
 * Kafka writes its clean-shutdown mark on SIGTERM, Redis syncs its file.
 */
const STEPS: Readonly<Record<EngineName, readonly StopStep[]>> = {
  kafka: [{ signal: 'SIGTERM', waitMs: 20_000 }],
  postgres: [
    { signal: 'SIGINT', waitMs: 15_000 },
    { signal: 'SIGQUIT', waitMs: 5_000 },
  ],
  redis: [{ signal: 'SIGTERM', waitMs: 10_000 }],
};

function keepClasses({ classArchive }: PidRecord, { how }: StopOutcome): void {
  if (classArchive === undefined) return;
  if (how === 'stopped') adoptRecording(classArchive);
  else discardRecording(classArchive);
}
