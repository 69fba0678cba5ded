import { AppError, messageOf } from '@headrace/base/errors';
import type { Fetch } from '@headrace/platform/http/fetch';
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface DownloadOptions {
  readonly sha256: string;
  /** What the snapshot was announced with; a longer body is cut off. */
  readonly bytes: number;
  readonly apiKey: string;
  readonly signal: AbortSignal;
  readonly fetch: Fetch;
}

/**
 * Streams to `path` and verifies. @throws AppError DEPENDENCY_UNAVAILABLE (may be tried again), TRAINING_SET_UNKNOWN, or
 * ARTIFACT_CORRUPT; then no file is left
 */
export async function downloadTrainingSet(url: string, path: string, options: DownloadOptions): Promise<void> {
  const response = await options
    .fetch(url, {
      signal: options.signal,
      headers: options.apiKey ? { authorization: `Bearer ${options.apiKey}` } : {},
    })
    .catch((error: unknown) => unavailable(url, error, options.signal));
  if (response.status === 404) throw new AppError('TRAINING_SET_UNKNOWN', `the feature store has no training set at ${url}`);
  if (!response.ok || !response.body)
    throw new AppError('DEPENDENCY_UNAVAILABLE', `the feature store answered ${response.status} for ${url}`);
  const hash = createHash('sha256');
  let bytes = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      hash.update(chunk);
      done(bytes > options.bytes ? corrupt(options, `more than ${options.bytes} bytes`) : null, chunk);
    },
  });
  try {
    await pipeline(Readable.fromWeb(response.body as never), counted, createWriteStream(path), { signal: options.signal }).catch(
      (error: unknown) => {
        if (error instanceof AppError) throw error;
        return unavailable(url, error, options.signal);
      },
    );
    const actual = hash.digest('hex');
    if (actual !== options.sha256) throw corrupt(options, `${bytes} bytes with sha256 ${actual}`);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

function corrupt({ sha256, bytes }: DownloadOptions, got: string): AppError {
  return new AppError('ARTIFACT_CORRUPT', `training set ${sha256} of ${bytes} bytes arrived as ${got}`, { details: { sha256 } });
}

function unavailable(url: string, error: unknown, signal: AbortSignal): never {
  if (signal.aborted) throw signal.reason;
  throw new AppError('DEPENDENCY_UNAVAILABLE', `${url} cannot be read: ${messageOf(error)}`, { cause: error });
}
