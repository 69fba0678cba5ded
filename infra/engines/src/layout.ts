import { join } from 'node:path';
import type { EngineName } from './engine.js';

/** Where an engine keeps what, below the state folder: `engines/<name>/...` and `engines/runtime.json`. */
export function enginesDir(stateDir: string): string {
  return join(stateDir, 'engines');
}

export function engineDir(stateDir: string, engine: EngineName): string {
  return join(enginesDir(stateDir), engine);
}

export function dataDir(stateDir: string, engine: EngineName): string {
  return join(engineDir(stateDir, engine), 'data');
}

export function logFile(stateDir: string, engine: EngineName): string {
  return join(engineDir(stateDir, engine), 'server.log');
}

export function pidFile(stateDir: string, engine: EngineName): string {
  return join(engineDir(stateDir, engine), 'pid.json');
}

export function runtimeFile(stateDir: string): string {
  return join(enginesDir(stateDir), 'runtime.json');
}

export function lockFile(stateDir: string): string {
  return join(enginesDir(stateDir), 'start.lock');
}
