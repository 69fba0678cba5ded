import { sleep } from '@headrace/base/clock';
import { preparePython, pythonHome } from '@headrace/testkit/python-environment';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('./python/', import.meta.url));
const HOME = pythonHome('python-conformance');
/** Both clients of gRPC register `inference.*` with protobuf, which allows one a process; each suite proves the one that it takes. */
const MODULES = ['tritonclient.http.aio', 'kserve', 'pytest_asyncio'];
const SUITE_TIMEOUT_MS = 100_000;
/** Most of what KServe brings along is never read: compiled by the first run that needs it. */
const BYTECODE = { PYTHONPYCACHEPREFIX: join(HOME, 'bytecode') };
/** The lock leaves out what no client imports. */
const PIP = { PIP_NO_DEPS: '1', PIP_COMPILE: '0', ...BYTECODE };

/** What a machine says that has no Python, no pip, or no way to the packages. */
const LACKS = /needs Python [^"\n]*|(?:No matching distribution|Could not fetch|Max retries|No module named pip)[^"\n]*/;

/** The interpreter of the environment, or why this machine cannot have one. */
export type ForeignPython = { readonly python: string } | { readonly missing: string };

/**
 * The environment of the foreign clients, made once for each content of the lock file.
 * @throws Error for wheels that are not those of the lock, and for whatever else is not the machine's want of Python, pip or a way to its packages
 */
export async function foreignPython(): Promise<ForeignPython> {
  try {
    return { python: await preparePython({ home: HOME, lock: join(HERE, 'requirements.lock'), modules: MODULES, environment: PIP }) };
  } catch (error) {
    const said = String((error as { stderr?: string }).stderr ?? error);
    const reason = LACKS.exec(said.replaceAll('\\n', '\n'))?.[0];
    if (reason === undefined || said.includes('DO NOT MATCH THE HASHES')) throw error;
    return { missing: reason };
  }
}

/** For the name of a suite; '' = it can run. */
export const skipReason = (found: ForeignPython): string => ('missing' in found ? ` (skipped: ${found.missing})` : '');

export function pythonOf(found: ForeignPython): string {
  if ('missing' in found) throw new Error(found.missing);
  return found.python;
}

export interface PytestReport {
  readonly passed: number;
  readonly failures: number;
  /** What pytest printed, for a person. */
  readonly output: string;
}

/** Runs one file of clients to its end. */
export async function runPytest(python: string, file: string, environment: Readonly<Record<string, string>>): Promise<PytestReport> {
  const child = start(python, ['-m', 'pytest', file], environment);
  const timer = setTimeout(() => child.kill('SIGKILL'), SUITE_TIMEOUT_MS);
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  const count = (what: string): number => Number(new RegExp(`(\\d+) ${what}`).exec(output.trim().split('\n').at(-1) ?? '')?.[1] ?? 0);
  return { passed: count('passed'), failures: count('failed') + count('error') + (code === 0 ? 0 : 1), output };
}

/** Runs a program that works until its stdin ends. @returns what it printed @throws Error with what it said when it fails */
export async function runUntil(
  python: string,
  file: string,
  environment: Readonly<Record<string, string>>,
  isStopped: () => boolean,
): Promise<string> {
  const child = start(python, [file], environment);
  const closed = once(child, 'close');
  let output = '';
  let said = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4_000)));
  while (!isStopped() && child.exitCode === null) await sleep(50);
  child.stdin!.end();
  const timer = setTimeout(() => child.kill('SIGKILL'), SUITE_TIMEOUT_MS);
  const [code] = (await closed) as [number | null];
  clearTimeout(timer);
  if (code !== 0) throw new Error(`${file} ended with ${code}: ${said}`);
  return output;
}

function start(python: string, args: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess {
  return spawn(python, args, {
    cwd: HERE,
    env: { PATH: dirname(python), ...BYTECODE, PYTHONUNBUFFERED: '1', ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}
