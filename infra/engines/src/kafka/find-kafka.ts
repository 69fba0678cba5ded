import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AppError } from '@headrace/base/errors';
import { runCommand } from '../command.js';
import type { Say } from '../engine.js';
import { which, type Machine } from '../machine.js';
import { aptInstall, lastLine, moveIntoPlace } from '../packages.js';
import type { JavaProgram } from './find-java.js';

/** Pinned in kafka/pom.xml too; a test compares both. */
export const KAFKA_VERSION = '4.3.1';
const MAVEN_BOUND_MS = 10 * 60_000;

/** The broker's jars, sorted, so that the class path (and with it the class archive) is the same each time. */
export async function findKafkaJars(machine: Machine, cacheDir: string, java: JavaProgram, say: Say): Promise<string[]> {
  const folder = join(cacheDir, `kafka-${KAFKA_VERSION}`);
  if (!existsSync(folder)) await download(machine, folder, java, say);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jar'))
    .sort()
    .map((name) => join(folder, name));
}

async function download(machine: Machine, folder: string, java: JavaProgram, say: Say): Promise<void> {
  const maven = which(machine, 'mvn') ?? (await installMaven(machine, say));
  const partial = `${folder}.partial-${process.pid}`;
  const pom = pomFile();
  const args = ['-B', '-q', 'dependency:copy-dependencies', '-f', pom, `-DoutputDirectory=${partial}`];
  say('installing', `Apache Kafka ${KAFKA_VERSION} (46 jars, 44 MB) by mvn`);
  mkdirSync(dirname(folder), { recursive: true });
  const result = await runCommand(maven, args, { env: { JAVA_HOME: dirname(dirname(java.path)) }, timeoutMs: MAVEN_BOUND_MS });
  if (result.ok) moveIntoPlace(partial, folder);
  rmSync(partial, { recursive: true, force: true });
  if (!result.ok) throw new AppError('ENGINE_MISSING', `Apache Kafka ${KAFKA_VERSION} could not be fetched; run \`mvn ${args.join(' ').replace(partial, folder)}\` to see why: ${lastLine(result.tail)}`);
}

async function installMaven(machine: Machine, say: Say): Promise<string> {
  const refused = machine.isRoot ? await aptInstall(machine, ['maven'], say) : 'apt needs root';
  const maven = which(machine, 'mvn');
  if (maven !== undefined) return maven;
  throw new AppError('ENGINE_MISSING', `Maven is missing, which fetches Apache Kafka: run \`apt-get install maven\` (or set the URL of a running Kafka). Tried: ${refused}`);
}

/** kafka/pom.xml of this workspace; `src` and `dist` lie equally deep. */
function pomFile(): string {
  return join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'kafka', 'pom.xml');
}
