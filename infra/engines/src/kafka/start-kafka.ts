import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { AppError } from '@headrace/base/errors';
import { runCommand } from '../command.js';
import type { Say } from '../engine.js';
import { dataDir, engineDir, logFile, pidFile } from '../layout.js';
import { probeKafka, warmGroupCoordinator } from '../probes.js';
import { spawnServer, type PidRecord } from '../processes.js';
import { waitUntilReady } from '../wait-ready.js';
import { log4jConfig, serverProperties } from './server-properties.js';

const READY_BOUND_MS = 90_000;
const FORMAT_BOUND_MS = 90_000;

export interface KafkaProgram {
  readonly java: string;
  readonly jars: readonly string[];
  readonly heapMb: number;
}

export async function startKafka(stateDir: string, program: KafkaProgram, ports: { kafka: number; kafkaController: number }, say: Say): Promise<PidRecord> {
  const folder = engineDir(stateDir, 'kafka');
  const data = dataDir(stateDir, 'kafka');
  mkdirSync(folder, { recursive: true });
  const propertiesFile = join(folder, 'server.properties');
  const log4jFile = join(folder, 'log4j2.yaml');
  writeFileSync(propertiesFile, serverProperties({ port: ports.kafka, controllerPort: ports.kafkaController, dataDir: data }));
  writeFileSync(log4jFile, log4jConfig());
  const jvm = [...jvmFlags(program), `-Dlog4j2.configurationFile=${log4jFile}`];
  if (!existsSync(data)) await format(program.java, jvm, ports, data, say);
  const log = logFile(stateDir, 'kafka');
  const record = await spawnServer('kafka', program.java, [...jvm, 'kafka.Kafka', propertiesFile], { port: ports.kafka, cwd: folder, logFile: log, pidFile: pidFile(stateDir, 'kafka') });
  const address = kafkaBroker(ports.kafka);
  await waitUntilReady(record, () => probeKafka(address), READY_BOUND_MS, log);
  await warmGroupCoordinator(address);
  return record;
}

export function kafkaBroker(port: number): string {
  return `127.0.0.1:${port}`;
}

/** Chosen for a quick start and little memory, not for throughput: serial collector, first-tier compiler only. */
export function jvmFlags(program: KafkaProgram): string[] {
  return [`-Xmx${program.heapMb}m`, '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Djava.awt.headless=true', '-cp', program.jars.join(delimiter)];
}

/**
 * Always by StorageTool: meta.properties written by hand leave group.version and transaction.version at 0, and new protocols then fail.
 * The folder gets its name when it is whole, so a format that was killed leaves nothing that looks like data.
 */
async function format(java: string, jvm: readonly string[], ports: { kafka: number; kafkaController: number }, data: string, say: Say): Promise<void> {
  say('starting', 'format of the log folder');
  const fresh = `${data}.new`;
  rmSync(fresh, { recursive: true, force: true });
  const propertiesFile = `${fresh}.properties`;
  writeFileSync(propertiesFile, serverProperties({ port: ports.kafka, controllerPort: ports.kafkaController, dataDir: fresh }));
  const args = [...jvm, 'kafka.tools.StorageTool', 'format', '--cluster-id', newClusterId(), '--config', propertiesFile];
  const result = await runCommand(java, args, { timeoutMs: FORMAT_BOUND_MS });
  rmSync(propertiesFile);
  if (!result.ok) throw new AppError('DEPENDENCY_UNAVAILABLE', `kafka: StorageTool format failed:\n${result.tail}`);
  renameSync(fresh, data);
}

/** A Kafka Uuid: 16 random bytes in URL-safe base64 (22 characters), never starting with a dash, which reads as an option. */
export function newClusterId(): string {
  for (;;) {
    const id = randomBytes(16).toString('base64url');
    if (!id.startsWith('-')) return id;
  }
}
