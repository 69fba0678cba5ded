import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { atLeast } from '../versions.js';
import type { JavaProgram } from './find-java.js';
import { KAFKA_VERSION } from './find-kafka.js';

/*
 * An archive of loaded classes takes 0.7 s and 40 MB from each start of the broker. The JVM writes it when it ends, so the first clean
 * stop makes it (3 s longer, once for each cache); it is taken only from a broker that ended by itself. A JVM that doesn't like an
 * archive ignores it.
 */

export interface ClassArchive {
  /** In the cache. */
  readonly file: string;
  /** In the state folder: what this broker writes at its end. */
  readonly recording: string;
}

/** The name holds what an archive depends on: the exact Java, its place and the jars. */
export function classArchive(cacheDir: string, kafkaDir: string, java: JavaProgram, jars: readonly string[]): ClassArchive {
  const key = createHash('sha256')
    .update([java.path, java.description, ...jars].join('\n'))
    .digest('hex')
    .slice(0, 12);
  return { file: join(cacheDir, `kafka-${KAFKA_VERSION}-classes-${key}`), recording: join(kafkaDir, 'classes.recording') };
}

/** Use the archive when there is one, otherwise record one. Java 25 has a better kind, which also works without a base archive. */
export function archiveFlags(archive: ClassArchive, java: JavaProgram): string[] {
  const aheadOfTime = atLeast(java.version, '25');
  if (existsSync(archive.file)) return aheadOfTime ? [`-XX:AOTCache=${archive.file}`] : [`-XX:SharedArchiveFile=${archive.file}`];
  rmSync(archive.recording, { force: true });
  return aheadOfTime ? [`-XX:AOTCacheOutput=${archive.recording}`] : [`-XX:ArchiveClassesAtExit=${archive.recording}`];
}

const SMALLEST_BYTES = 1_000_000;

/** Moves a recording into the cache. Only for a broker that ended cleanly: a killed one may have left half a file. */
export function adoptRecording(archive: ClassArchive): void {
  if (existsSync(archive.recording) && statSync(archive.recording).size >= SMALLEST_BYTES && !existsSync(archive.file)) {
    const partial = `${archive.file}.partial-${process.pid}`;
    copyFileSync(archive.recording, partial);
    renameSync(partial, archive.file);
  }
  discardRecording(archive);
}

export function discardRecording(archive: ClassArchive): void {
  rmSync(archive.recording, { force: true });
  rmSync(`${archive.recording}.config`, { force: true }); // Java 25 keeps its notes there
}
