import { AppError } from '@headrace/base/errors';
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform, type Readable } from 'node:stream';

/**
 * Artefacts by content: `<root>/<project>/<aa>/<sha256>`. A file appears under its name only when all its bytes are written,
 * synced and hashed, so a name that exists is whole; a crash leaves a file in `incoming/`, which a later start removes.
 */
export class ArtifactStore {
  readonly #root: string;
  readonly #bytesMax: number;

  constructor(root: string, bytesMax: number) {
    this.#root = root;
    this.#bytesMax = bytesMax;
  }

  /**
   * Idempotent, and a damaged file of the same name is replaced. @returns the size, and whether the name is new.
   * @throws AppError MESSAGE_TOO_LARGE | ARTIFACT_CORRUPT; then nothing is left behind
   */
  async put(project: string, sha256: string, body: AsyncIterable<Uint8Array>): Promise<{ bytes: number; created: boolean }> {
    const incoming = join(this.#root, project, INCOMING, `${sha256}.${randomUUID()}`);
    const path = this.#path(project, sha256);
    await mkdir(dirname(incoming), { recursive: true });
    await mkdir(dirname(path), { recursive: true });
    try {
      const bytes = await this.#write(incoming, sha256, body);
      const created = !(await exists(path));
      await rename(incoming, path);
      await syncFolder(dirname(path));
      return { bytes, created };
    } catch (error) {
      await rm(incoming, { force: true });
      throw error;
    }
  }

  /** Removes uploads that a crash cut off. @returns how many. */
  async sweep(): Promise<number> {
    let removed = 0;
    for (const project of await readdir(this.#root).catch(() => [])) {
      const folder = join(this.#root, project, INCOMING);
      for (const name of await readdir(folder).catch(() => [])) {
        const { mtimeMs } = await stat(join(folder, name));
        if (Date.now() - mtimeMs < ABANDONED_AFTER_MS) continue;
        await rm(join(folder, name), { force: true });
        removed += 1;
      }
    }
    return removed;
  }

  /** Whole and verified. @throws AppError ARTIFACT_UNKNOWN | ARTIFACT_CORRUPT */
  async read(project: string, sha256: string): Promise<Buffer> {
    const bytes = await readFile(this.#path(project, sha256)).catch((error: unknown) => refuseMissing(error, sha256));
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw corrupt(sha256, 'the stored file');
    return bytes;
  }

  /**
   * The last bytes are held back until the hash of all is right, so a reader of a damaged file sees a broken download and
   * never a complete wrong one. @throws AppError ARTIFACT_UNKNOWN
   */
  async stream(project: string, sha256: string): Promise<{ bytes: number; body: Readable }> {
    const path = this.#path(project, sha256);
    const { size } = await stat(path).catch((error: unknown) => refuseMissing(error, sha256));
    const file = createReadStream(path);
    const body = verified(sha256);
    file.on('error', (error) => body.destroy(error));
    body.on('close', () => file.destroy());
    return { bytes: size, body: file.pipe(body) };
  }

  async #write(incoming: string, sha256: string, body: AsyncIterable<Uint8Array>): Promise<number> {
    const hash = createHash('sha256');
    let bytes = 0;
    const file: FileHandle = await open(incoming, 'wx');
    try {
      for await (const chunk of body) {
        bytes += chunk.length;
        if (bytes > this.#bytesMax)
          throw new AppError(
            'MESSAGE_TOO_LARGE',
            `artefact ${sha256} is larger than ${this.#bytesMax} bytes (HEADRACE_ARTIFACT_BYTES_MAX)`,
          );
        hash.update(chunk);
        await writeAll(file, chunk);
      }
      const actual = hash.digest('hex');
      if (actual !== sha256) throw corrupt(sha256, `the upload of ${bytes} bytes (sha256 ${actual})`);
      await file.sync();
      return bytes;
    } finally {
      await file.close();
    }
  }

  #path(project: string, sha256: string): string {
    return join(this.#root, project, sha256.slice(0, 2), sha256);
  }
}

const INCOMING = 'incoming';
/** No upload that is still alive pauses for so long. */
const ABANDONED_AFTER_MS = 3_600_000;

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The new name survives a power cut only when its folder is synced as well. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  await folder.sync().finally(() => folder.close());
}

async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let at = 0; at < chunk.length;) at += (await file.write(chunk, at)).bytesWritten;
}

function verified(sha256: string): Transform {
  const hash = createHash('sha256');
  let held: Buffer | undefined;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      const ready = held;
      held = chunk;
      done(null, ready);
    },
    flush(done) {
      if (hash.digest('hex') !== sha256) return done(corrupt(sha256, 'the stored file'));
      done(null, held);
    },
  });
}

function corrupt(sha256: string, what: string): AppError {
  return new AppError('ARTIFACT_CORRUPT', `${what} does not have the sha256 ${sha256}; upload the artefact again`, { details: { sha256 } });
}

function refuseMissing(error: unknown, sha256: string): never {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  throw new AppError('ARTIFACT_UNKNOWN', `there is no artefact ${sha256}; upload it first by PUT /artifacts/${sha256}`, {
    details: { sha256 },
  });
}
