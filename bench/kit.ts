/** What the benches share: where things are, the load generator, a service of ours as it is built, and the facts of the machine for the results. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Definition } from '@headrace/contracts/features/v1/features';
import { parseDefinitionsFile } from '@headrace/definitions/yaml-file';

export const repository = join(import.meta.dirname, '..');
export const cacheDir = join(repository, '.headrace/cache');

export interface Figures {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
  /** All threads of the process. */
  readonly serverCpuUs: number;
  readonly rssMiB: number;
  /** Of the load generator: its core is the wall when this times the rate nears a second. */
  readonly clientCpuUs: number;
}

/** cargo builds what is older than its source. @returns the folder of the programs. */
export function buildRust(source: string, cache: string): string {
  const target = join(cacheDir, cache);
  mkdirSync(target, { recursive: true });
  const env = { ...process.env, CARGO_TARGET_DIR: target };
  execFileSync('cargo', ['build', '--release', '--quiet', '-j', '1'], { cwd: source, env, stdio: 'inherit' });
  return join(target, 'release');
}

/**
 * A virtual environment of what `requirements` names, made once for each content of that file.
 * @param pip more arguments of the installation
 * @returns its Python. Programs go by `-m`, because the scripts of an environment do not survive a move of it.
 */
export function pythonEnvironment(name: string, requirements: string, findPython: () => string, pip: readonly string[] = []): string {
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const folder = join(cacheDir, `bench-${name}-${hash}`);
  const python = join(folder, 'bin/python');
  const marker = join(folder, 'ready');
  if (existsSync(marker)) return python;
  execFileSync(findPython(), ['-m', 'venv', '--clear', folder], { stdio: 'inherit' });
  const install = ['install', '--quiet', '--disable-pip-version-check', ...pip, '-r', requirements];
  execFileSync(python, ['-m', 'pip', ...install], { stdio: 'inherit' });
  writeFileSync(marker, '');
  return python;
}

/** @returns the load generator of bench/wire. */
export function buildLoadgen(): string {
  return join(buildRust(join(repository, 'bench/wire/loadgen'), 'wire-loadgen'), 'wire-loadgen');
}

/** A line of the load generator. */
export function figuresOf(line: string): Figures {
  const [requestsPerSecond = 0, p50Ms = 0, p99Ms = 0, errors = 0, serverCpuUs = 0, rssMiB = 0, clientCpuUs = 0] = line
    .trim()
    .split('\t')
    .map(Number);
  return { requestsPerSecond, p50Ms, p99Ms, errors, serverCpuUs, rssMiB, clientCpuUs };
}

/** The median run, by requests per second. */
export function medianOf(runs: readonly Figures[]): Figures | undefined {
  return [...runs].sort((a, b) => a.requestsPerSecond - b.requestsPerSecond)[runs.length >> 1];
}

/** A ratio, to two digits. */
export function ratio(a: number, b: number): number {
  return Math.round((a / b) * 100) / 100;
}

/** Many different requests, each behind its length: one repeated row flatters caches and branch prediction. */
export function savePayload(file: string, requests: readonly Uint8Array[]): void {
  const parts = requests.flatMap((body) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    return [length, body];
  });
  writeFileSync(file, Buffer.concat(parts));
}

export interface Service {
  readonly child: ChildProcess;
  readonly grpc: string;
  readonly http: string;
}

export interface ServiceOptions {
  readonly env: NodeJS.ProcessEnv;
  /** The only core that it may use; default any. */
  readonly core?: number;
  readonly nodeOptions?: readonly string[];
}

/** The built service on free ports, when it says that it is ready. What it prints is printed. */
export async function startService(name: string, { env, core, nodeOptions = [] }: ServiceOptions): Promise<Service> {
  const node = [process.execPath, ...nodeOptions, join(repository, `services/${name}/dist/main.js`)];
  const [program, ...args] = core === undefined ? node : ['taskset', '-c', String(core), ...node];
  const child = spawn(program!, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, HEADRACE_HTTP_PORT: '0', HEADRACE_GRPC_PORT: '0', ...env },
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    if (!line.includes('"ready"')) {
      console.log(line);
      continue;
    }
    child.stdout!.on('data', (text: Buffer) => process.stdout.write(text));
    return { child, ...(JSON.parse(line) as { grpc: string; http: string }) };
  }
  throw new Error(`the service ${name} ended before it was ready`);
}

/** By SIGTERM, and by SIGKILL what does not end by it. */
export async function stop(child: ChildProcess, withinMs = 15_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), withinMs);
  await once(child, 'exit');
  clearTimeout(timer);
}

/** Resolves when the child takes connections there. */
export async function listening(child: ChildProcess, address: string, withinMs = 60_000): Promise<void> {
  const [host, port] = address.split(':');
  for (const until = Date.now() + withinMs; Date.now() < until; await sleep(100)) {
    if (child.exitCode !== null) throw new Error(`the server of ${address} ended with ${child.exitCode}`);
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), host);
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isOpen) return;
  }
  throw new Error(`${address} does not listen within ${withinMs / 1000} s`);
}

/** Definitions for `Apply`, from YAML. */
export function definitionsOf(yaml: string): Definition[] {
  return parseDefinitionsFile(yaml, 'bench.yaml').map(({ kind, name, spec }) => ({
    kind,
    name,
    spec: JSON.parse(JSON.stringify(spec)) as Definition['spec'],
  }));
}

/** The machine as it is now, to stand beside figures. */
export function machine(): Record<string, unknown> {
  return {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadAverageAtEnd: loadavg()[0],
  };
}
