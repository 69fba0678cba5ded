import { AppError } from '@headrace/base/errors';
import { fetchOver, type Fetch } from '@headrace/platform/http/fetch';
import { readPeerTls } from '@headrace/platform/tls/tls-files';
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

/** For `createClient` and `connect`; addresses with `https://` are called by TLS. */
export function clientOptions(config: CliConfig): { readonly apiKey?: string; readonly tls: ReturnType<typeof readPeerTls> } {
  return { ...(config.apiKey ? { apiKey: config.apiKey } : {}), tls: readPeerTls(config) };
}

/** For HTTP doors. */
export function fetchOf(config: CliConfig): Fetch {
  return fetchOver(readPeerTls(config));
}
