import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.js';
import type { Say } from './engine.js';
import { which, type Machine } from './machine.js';

/*
 * Packages come through the ordinary clients (apt, pip, mvn), so that whatever mirror the machine is set to is used.
 * Each function returns undefined when it worked and otherwise the reason in one line, for the final message.
 */

const INSTALL_BOUND_MS = 10 * 60_000;

let aptQueue: Promise<unknown> = Promise.resolve();

/** Debian packages, without questions and without recommended extras. Only root can. */
export async function aptInstall(machine: Machine, packages: readonly string[], say: Say): Promise<string | undefined> {
  const apt = which(machine, 'apt-get');
  if (apt === undefined) return 'this machine has no apt-get';
  // Engines come up side by side, but apt locks itself.
  const turn = aptQueue.then(() => aptNow(apt, packages, say));
  aptQueue = turn;
  return await turn;
}

async function aptNow(apt: string, packages: readonly string[], say: Say): Promise<string | undefined> {
  say('installing', `apt-get install ${packages.join(' ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  // Wait for another program's apt to finish instead of failing on its lock.
  const lock = ['-o', 'DPkg::Lock::Timeout=120'];
  const install = ['install', '-y', '--no-install-recommends', ...lock, ...packages];
  const first = await runCommand(apt, install, { env, timeoutMs: INSTALL_BOUND_MS });
  if (first.ok) return undefined;
  // Most often the package lists are missing or old.
  await runCommand(apt, ['update', ...lock], { env, timeoutMs: INSTALL_BOUND_MS });
  const second = await runCommand(apt, install, { env, timeoutMs: INSTALL_BOUND_MS });
  return second.ok ? undefined : `apt-get install ${packages.join(' ')}: ${lastLine(second.tail)}`;
}

/** One PyPI package, unpacked into `<cacheDir>/<name>-<version>`; it appears there whole or not at all. */
export async function pipInstall(
  machine: Machine,
  cacheDir: string,
  name: string,
  version: string,
  options: readonly string[],
  say: Say,
): Promise<string | undefined> {
  const python = which(machine, 'python3');
  if (python === undefined) return 'no python3 on PATH, so no pip';
  say('installing', `pip install ${name}==${version}`);
  mkdirSync(cacheDir, { recursive: true });
  const target = join(cacheDir, `${name}-${version}`);
  const partial = `${target}.partial-${process.pid}`;
  rmSync(partial, { recursive: true, force: true });
  const args = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '--no-deps',
    ...options,
    '--target',
    partial,
    `${name}==${version}`,
  ];
  const result = await runCommand(python, args, { timeoutMs: INSTALL_BOUND_MS });
  if (result.ok) moveIntoPlace(partial, target);
  rmSync(partial, { recursive: true, force: true });
  return result.ok ? undefined : `pip install ${name}==${version}: ${lastLine(result.tail)}`;
}

/** A rename is atomic: two runs that install the same thing at once both end with one whole copy. */
export function moveIntoPlace(partial: string, target: string): void {
  try {
    renameSync(partial, target);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw thrown;
  }
}

export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
