import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@headrace/base/errors';
import { runCommand } from '../command.js';
import { moveIntoPlace } from '../packages.js';
import { KAFKA_VERSION } from './find-kafka.js';
import { serverProperties, type BrokerSettings } from './server-properties.js';

const FORMAT_BOUND_MS = 90_000;

/**
 * Formats a new log folder. The work is StorageTool's, because a meta.properties written by hand leaves group.version and
 * transaction.version at 0, and new protocols then fail. But its result depends only on the version of Kafka, apart from two ids: it is
 * kept in the cache, and a later format is a copy with new ids (0.7 s of JVM start saved). The folder gets its name when it is whole, so
 * a format that was killed leaves nothing that looks like data.
 */
export async function formatLogFolder(cacheDir: string, java: string, jvm: readonly string[], settings: BrokerSettings): Promise<void> {
  const template = join(cacheDir, `kafka-${KAFKA_VERSION}-formatted`);
  if (!existsSync(template)) await formatTemplate(template, java, jvm, settings);
  const fresh = `${settings.dataDir}.new`;
  rmSync(fresh, { recursive: true, force: true });
  cpSync(template, fresh, { recursive: true });
  const meta = join(fresh, 'meta.properties');
  writeFileSync(meta, withNewIds(readFileSync(meta, 'utf8')));
  renameSync(fresh, settings.dataDir);
}

async function formatTemplate(template: string, java: string, jvm: readonly string[], settings: BrokerSettings): Promise<void> {
  const partial = `${template}.partial-${process.pid}`;
  const propertiesFile = `${partial}.properties`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  writeFileSync(propertiesFile, serverProperties({ ...settings, dataDir: partial }));
  const args = [...jvm, 'kafka.tools.StorageTool', 'format', '--cluster-id', newKafkaId(), '--config', propertiesFile];
  const result = await runCommand(java, args, { timeoutMs: FORMAT_BOUND_MS });
  rmSync(propertiesFile);
  if (result.ok) moveIntoPlace(partial, template);
  rmSync(partial, { recursive: true, force: true });
  if (!result.ok) throw new AppError('DEPENDENCY_UNAVAILABLE', `kafka: StorageTool format failed:\n${result.tail}`);
}

/** The id of the cluster that a formatted folder belongs to. */
export function clusterIdOf(logFolder: string): string {
  const meta = join(logFolder, 'meta.properties');
  const id = /^cluster\.id=(.+)$/m.exec(readFileSync(meta, 'utf8'))?.[1];
  if (id === undefined)
    throw new AppError('DEPENDENCY_UNAVAILABLE', `${meta} names no cluster; remove the folder to start with an empty broker`);
  return id.trim();
}

/** Each folder is a cluster of its own. */
export function withNewIds(metaProperties: string): string {
  return metaProperties.replace(/^(cluster\.id|directory\.id)=.*$/gm, (_line, key: string) => `${key}=${newKafkaId()}`);
}

/** A Kafka Uuid: 16 random bytes in URL-safe base64 (22 characters), never starting with a dash, which reads as an option. */
export function newKafkaId(): string {
  for (;;) {
    const id = randomBytes(16).toString('base64url');
    if (!id.startsWith('-')) return id;
  }
}
