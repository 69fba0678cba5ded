import { AppError } from '@headrace/base/errors';
import { resolve } from 'node:path';
import type { CliConfig } from '../config.js';
import { readRuntime, type Runtime } from './runtime-file.js';

/** The running cluster of this state folder. @throws AppError DEPENDENCY_UNAVAILABLE */
export function runningSite(config: CliConfig): Runtime {
  const runtime = readRuntime(resolve(config.stateDir));
  if (!runtime)
    throw new AppError('DEPENDENCY_UNAVAILABLE', `no cluster runs from ${resolve(config.stateDir)}; start one with \`npm start\``);
  return runtime;
}

/** For `createClient`. */
export function clientOptions(config: CliConfig): { readonly apiKey?: string } {
  return config.apiKey ? { apiKey: config.apiKey } : {};
}
