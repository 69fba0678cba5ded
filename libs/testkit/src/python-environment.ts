import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inheritedEnvironment, PREPARE_PYTHON, testStateDir } from './config.js';

/** Wheels over a slow line. */
export const PREPARE_PYTHON_TIMEOUT_MS = 900_000;

export interface PythonEnvironment {
  /** Folder of the environment, see `pythonHome`. */
  readonly home: string;
  /** File of pinned, hashed requirements; the environment is made once for each content of it. */
  readonly lock: string;
  /** Modules that must import before it counts as made. */
  readonly modules: readonly string[];
  /** For pip, beside what this process has. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The folder of that name under the state of this machine's tests. */
export function pythonHome(name: string): string {
  return join(testStateDir(), name);
}

/**
 * Makes a Python environment of foreign clients by the trainer's own tool, pinned and locked by hash. @returns path of its interpreter
 * @throws Error with the `stderr` of the tool, whatever the machine lacks: what of it may skip a suite is the suite's to say
 */
export async function preparePython({ home, lock, modules, environment }: PythonEnvironment): Promise<string> {
  if (!existsSync(PREPARE_PYTHON)) throw new Error(`${PREPARE_PYTHON} is not built; run \`npx nx run-many -t build\``);
  const args = [PREPARE_PYTHON, '--home', home, '--lock', lock, '--modules', modules.join(',')];
  const env = { ...inheritedEnvironment(), ...environment };
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: PREPARE_PYTHON_TIMEOUT_MS, env });
  return (JSON.parse(stdout.trim().split('\n').at(-1)!) as { python: string }).python;
}
