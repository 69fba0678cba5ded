import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Say } from '../engine.js';
import { dataDir, engineDir, logFile, pidFile } from '../layout.js';
import { spawnServer, type PidRecord } from '../processes.js';
import { ServerEnded, waitUntilReady } from '../wait-ready.js';
import { archiveFlags, classArchive } from './class-archive.js';
import type { JavaProgram } from './find-java.js';
import { clusterIdOf, formatLogFolder } from './format-log-folder.js';
import { probeKafka, warmGroupCoordinator } from './probe-kafka.js';
import { log4jConfig, serverProperties, type BrokerSettings } from './server-properties.js';

const READY_BOUND_MS = 90_000;

export interface KafkaProgram {
  readonly java: JavaProgram;
  readonly jars: readonly string[];
  readonly heapMb: number;
  readonly cacheDir: string;
}

export async function startKafka(
  stateDir: string,
  program: KafkaProgram,
  ports: { kafka: number; kafkaController: number },
  durable: boolean,
  say: Say,
): Promise<PidRecord> {
  const folder = engineDir(stateDir, 'kafka');
  const settings: BrokerSettings = { port: ports.kafka, controllerPort: ports.kafkaController, dataDir: dataDir(stateDir, 'kafka') };
  mkdirSync(folder, { recursive: true });
  const propertiesFile = join(folder, 'server.properties');
  const log4jFile = join(folder, 'log4j2.yaml');
  writeFileSync(propertiesFile, serverProperties(settings));
  writeFileSync(log4jFile, log4jConfig());
  const jvm = [...jvmFlags(program.heapMb), `-Dlog4j2.configurationFile=${log4jFile}`, '-cp', program.jars.join(delimiter)];
  if (!existsSync(settings.dataDir)) {
    say('starting', 'format of the log folder');
    await formatLogFolder(program.cacheDir, program.java.path, jvm, settings);
  }
  const archive = classArchive(program.cacheDir, folder, program.java, program.jars);
  const log = logFile(stateDir, 'kafka');
  const launch = (): Promise<PidRecord> =>
    spawnServer('kafka', program.java.path, [...archiveFlags(archive, program.java), ...jvm, 'kafka.Kafka', propertiesFile], {
      port: ports.kafka,
      durable,
      cwd: folder,
      logFile: log,
      pidFile: pidFile(stateDir, 'kafka'),
      classArchive: archive,
    });
  const address = kafkaBroker(ports.kafka);
  const clusterId = clusterIdOf(settings.dataDir);
  const ready = (record: PidRecord): Promise<void> => waitUntilReady(record, () => probeKafka(address, { clusterId }), READY_BOUND_MS, log);
  let record = await launch();
  try {
    await ready(record);
  } catch (thrown) {
    if (!(thrown instanceof ServerEnded) || thrown.portTaken || !existsSync(archive.file)) throw thrown;
    say('starting', 'again without the class archive, which may be to blame');
    rmSync(archive.file);
    record = await launch();
    await ready(record);
  }
  await warmGroupCoordinator(address);
  return record;
}

export function kafkaBroker(port: number): string {
  return `127.0.0.1:${port}`;
}

/**
 * Chosen for a quick start and little memory, not for throughput: serial collector, first-tier compiler only. The JVM's own log says
 * errors alone: recording an archive warns about each class that it leaves out.
 */
export function jvmFlags(heapMb: number): string[] {
  return [
    `-Xmx${heapMb}m`,
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Xlog:disable',
    '-Xlog:all=error:stderr',
    '-Djava.awt.headless=true',
  ];
}
