import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { access, mkdir, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { extname, join, resolve, sep } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Inject, Injectable } from '@nestjs/common';
import { AppError } from '@headrace/base/errors';
import { LIMITS, type Limits } from '../config.js';
import { requestInvalid } from '../errors.js';
import { FRAME_FORMATS, type FrameFormat } from '../domain/frame-values.js';

/** Injection token: folder of the frames that were brought here. */
export const FRAME_FOLDER = Symbol('frame folder');

const NAME = new RegExp(`^[0-9a-f]{64}\\.(${FRAME_FORMATS.join('|')})$`);

/** Entity frames, named by the hash of their bytes: what a join was asked with stays what it was. */
@Injectable()
export class FrameFiles {
  constructor(
    @Inject(FRAME_FOLDER) private readonly folder: string,
    @Inject(LIMITS) private readonly limits: Limits,
  ) {}

  /** @returns the name of the frame. @throws AppError MESSAGE_TOO_LARGE */
  async store(source: Readable, format: FrameFormat): Promise<{ frame: string; bytes: number }> {
    await mkdir(this.folder, { recursive: true });
    const temporary = join(this.folder, `.${randomBytes(8).toString('hex')}.tmp`);
    const hash = createHash('sha256');
    const max = this.limits.frameBytesMax;
    let bytes = 0;
    const count = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        bytes += chunk.length;
        if (bytes > max)
          return done(new AppError('MESSAGE_TOO_LARGE', `the frame has more than ${max} bytes (HEADRACE_FEATURES_FRAME_BYTES_MAX)`));
        hash.update(chunk);
        done(null, chunk);
      },
    });
    try {
      await pipeline(source, count, createWriteStream(temporary, { flags: 'wx' }));
      if (bytes === 0) throw requestInvalid('the frame is empty');
      const frame = `${hash.digest('hex')}.${format}`;
      await rename(temporary, join(this.folder, frame));
      return { frame, bytes };
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** Copies a file of the configured folder: it may change there, and the join may run again. @throws AppError REQUEST_INVALID */
  async take(file: string): Promise<string> {
    const { frameFolder } = this.limits;
    if (frameFolder === '')
      throw requestInvalid('no folder for frames is configured (HEADRACE_FEATURES_FRAME_FOLDER); upload the frame with POST /frames');
    const format = extname(file).slice(1);
    if (!isFormat(format)) throw requestInvalid(`${JSON.stringify(file)} must end with one of .${FRAME_FORMATS.join(', .')}`);
    const root = await realpath(resolve(frameFolder));
    const path = await realpath(resolve(root, file)).catch(() => undefined);
    // Links out of the folder are resolved before the look.
    if (!path?.startsWith(root + sep) || !(await stat(path)).isFile())
      throw requestInvalid(`the folder for frames has no file ${JSON.stringify(file)}`);
    return (await this.store(createReadStream(path), format)).frame;
  }

  rows(rows: readonly object[]): Promise<{ frame: string }> {
    return this.store(Readable.from(lines(rows)), 'ndjson');
  }

  /** @throws AppError REQUEST_INVALID when no such frame is here. */
  async open(frame: string): Promise<{ path: string; format: FrameFormat }> {
    const format = extname(frame).slice(1);
    const path = join(this.folder, frame);
    const found =
      NAME.test(frame) &&
      isFormat(format) &&
      (await access(path).then(
        () => true,
        () => false,
      ));
    if (!found) throw requestInvalid(`no frame ${JSON.stringify(frame.slice(0, 80))} is here; upload it with POST /frames`);
    return { path, format };
  }

  /** Removes frames older than this that are not named. @returns how many. */
  async sweep(keep: ReadonlySet<string>, olderThanMs: number, nowMs: number): Promise<number> {
    const names = await readdir(this.folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    let removed = 0;
    for (const name of names) {
      if (keep.has(name)) continue;
      const path = join(this.folder, name);
      const found = await stat(path).catch(() => undefined); // another process was faster
      if (!found || nowMs - found.mtimeMs < olderThanMs) continue;
      await rm(path, { force: true });
      removed++;
    }
    return removed;
  }
}

function isFormat(format: string): format is FrameFormat {
  return (FRAME_FORMATS as readonly string[]).includes(format);
}

function* lines(rows: readonly object[]): Generator<Buffer> {
  for (const row of rows) yield Buffer.from(`${JSON.stringify(row)}\n`);
}
