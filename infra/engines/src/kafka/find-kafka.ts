import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs';
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
  const argsInto = (output: string): string[] => [
    '-B',
    '-q',
    '-U',
    '-Dstyle.color=never',
    ...trustStore(java),
    'dependency:copy-dependencies',
    '-f',
    pomFile(),
    `-DoutputDirectory=${output}`,
  ];
  say('installing', `Apache Kafka ${KAFKA_VERSION} (46 jars, 44 MB) by mvn`);
  mkdirSync(dirname(folder), { recursive: true });
  const result = await runCommand(maven, argsInto(partial), {
    env: { JAVA_HOME: dirname(dirname(realpathSync(java.path))) },
    timeoutMs: MAVEN_BOUND_MS,
  });
  if (result.ok) moveIntoPlace(partial, folder);
  rmSync(partial, { recursive: true, force: true });
  if (result.ok) return;
  const reason = /^\[ERROR\] (.+)$/m.exec(result.stdout)?.[1] ?? lastLine(result.tail);
  throw new AppError(
    'ENGINE_MISSING',
    `Apache Kafka ${KAFKA_VERSION} could not be fetched; run \`mvn ${argsInto(folder).join(' ')}\` to see why: ${reason}`,
  );
}

const SYSTEM_TRUST_STORES = ['/etc/ssl/certs/java/cacerts', '/etc/pki/java/cacerts'];

/** A Java that we brought knows the public certificate authorities only, not those that this machine's owner added (a mirror's, a proxy's). */
function trustStore(java: JavaProgram): string[] {
  const store = SYSTEM_TRUST_STORES.find((file) => existsSync(file));
  return java.brought && store !== undefined ? [`-Djavax.net.ssl.trustStore=${store}`] : [];
}

async function installMaven(machine: Machine, say: Say): Promise<string> {
  const refused = machine.isRoot ? await aptInstall(machine, ['maven'], say) : 'apt needs root';
  const maven = which(machine, 'mvn');
  if (maven !== undefined) return maven;
  throw new AppError(
    'ENGINE_MISSING',
    `Maven is missing, which fetches Apache Kafka: run \`apt-get install maven\` (or set the URL of a running Kafka). Tried: ${refused}`,
  );
}

/** kafka/pom.xml of this workspace; `src` and `dist` lie equally deep. */
function pomFile(): string {
  return join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'kafka', 'pom.xml');
}
