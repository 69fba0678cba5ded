import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { freePort } from '@headrace/engines/free-port';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { listening, pythonEnvironment } = (await import(new URL('../../kit.ts', import.meta.url).href)) as typeof import('../../kit.js');

export interface FeastOptions {
  /** Its repository, and the requests that are made for it. */
  readonly folder: string;
  readonly redisUrl: string;
  readonly entities: number;
  readonly features: number;
  readonly requests: number;
  readonly sizes: readonly number[];
}

export interface RunningFeast {
  readonly child: ChildProcess;
  readonly grpc: string;
}

/** What serves GetOnlineFeatures of Feast over gRPC. */
export const FEAST_PATH = '/GrpcFeatureServer/GetOnlineFeatures';
/** Threads of its server: more gave no more requests. */
const WORKERS = 8;
const START_MS_MAX = 60_000;

export function feastPayload(folder: string, size: number): string {
  return join(folder, `feast-${size}.bin`);
}

/** Feast 0.67 with its Redis online store, on our Redis in a database of its own: environment, rows, requests, and its gRPC server on core 0. */
export async function startFeast(options: FeastOptions): Promise<RunningFeast> {
  const { folder, entities, features, requests, sizes } = options;
  const bin = environment();
  mkdirSync(folder, { recursive: true });
  const { hostname, port: redisPort } = new URL(options.redisUrl);
  const numbers = [entities, features, requests, ...sizes].map(String);
  execFileSync(join(bin, 'python'), [join(import.meta.dirname, 'feast/repo.py'), folder, `${hostname}:${redisPort},db=1`, ...numbers], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const port = await freePort();
  const what = ['-c', '0', join(bin, 'feast'), '--chdir', folder, 'listen', '--address', `127.0.0.1:${port}`];
  const child = spawn('taskset', [...what, '--max_workers', String(WORKERS), '--registry_ttl_sec', '3600'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await listening(child, `127.0.0.1:${port}`, START_MS_MAX);
  return { child, grpc: `127.0.0.1:${port}` };
}

/** Made once for each content of requirements.txt. @returns its `bin` */
function environment(): string {
  const requirements = join(import.meta.dirname, 'feast/requirements.txt');
  return dirname(pythonEnvironment('feast', requirements, () => 'python3'));
}
