import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { EngineName, EnginePorts } from './engine.js';
import { runtimeFile } from './layout.js';

/** What a run tells others (and its own next start): ports, and where things are. No secrets: the password has its own file. */
export interface RuntimeRecord {
  readonly ports: Partial<EnginePorts>;
  readonly engines: Partial<Record<EngineName, RuntimeEngine>>;
}

export interface RuntimeEngine {
  readonly address: string;
  readonly version: string;
  readonly program: string;
  readonly dataDir: string;
  readonly durable: boolean;
}

const NOTHING: RuntimeRecord = { ports: {}, engines: {} };

/** The record of the last run; empty when there is none or a crash left half a file. */
export function readRuntime(stateDir: string): RuntimeRecord {
  try {
    const parsed = JSON.parse(readFileSync(runtimeFile(stateDir), 'utf8')) as Partial<RuntimeRecord>;
    return { ports: parsed.ports ?? {}, engines: parsed.engines ?? {} };
  } catch {
    return NOTHING;
  }
}

export function writeRuntime(stateDir: string, record: RuntimeRecord): void {
  const file = runtimeFile(stateDir);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(record, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}
