import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ServiceRecord } from './service-process.js';
import type { Endpoints } from './services.js';

/** What `down`, `status` and the other commands need to find a running cluster. */
export interface Runtime {
  readonly endpoints: Endpoints;
  readonly kafkaBrokers: readonly string[];
  readonly services: readonly ServiceRecord[];
  readonly startedAt: string;
}

const fileOf = (stateDir: string): string => join(stateDir, 'cluster.json');

export function readRuntime(stateDir: string): Runtime | undefined {
  try {
    return JSON.parse(readFileSync(fileOf(stateDir), 'utf8')) as Runtime;
  } catch {
    return undefined;
  }
}

/** Atomic: a reader sees the old file or the new one. */
export function writeRuntime(stateDir: string, runtime: Runtime): void {
  const file = fileOf(stateDir);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(runtime, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

export function removeRuntime(stateDir: string): void {
  rmSync(fileOf(stateDir), { force: true });
}
