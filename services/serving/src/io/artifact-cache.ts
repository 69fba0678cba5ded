import { AppError, messageOf } from '@headrace/base/errors';
import { SHA256_PATTERN } from '@headrace/base/ids';
import type { Fetch } from '@headrace/platform/http/fetch';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from './atomic-file.js';
import { parseTrialRecord, type TrialRecord } from './trial-load.js';

export interface ArtifactSource {
  /** @throws AppError ARTIFACT_UNKNOWN, DEPENDENCY_UNAVAILABLE */
  fetch(project: string, sha256: string, signal?: AbortSignal): Promise<Uint8Array>;
}

/**
 * Artefacts by content hash in a folder. Bytes leave it only after their hash was computed from what the disk gave; a file that
 * went bad is fetched once more, and when the source gives bad bytes too, nobody gets any.
 */
export class ArtifactCache {
  constructor(
    readonly folder: string,
    private readonly source: ArtifactSource,
  ) {}

  pathOf(sha256: string): string {
    return join(this.folder, sha256);
  }

  /** @throws AppError ARTIFACT_CORRUPT when the source's bytes do not match the hash, or what the source throws. */
  async read(project: string, sha256: string, signal?: AbortSignal): Promise<Uint8Array> {
    if (!SHA256_PATTERN.test(sha256))
      throw new AppError('ARTIFACT_UNKNOWN', `${JSON.stringify(sha256)} is not a sha256; the version has no usable artefact`);
    const kept = await readIfThere(this.pathOf(sha256));
    if (kept && hashOf(kept) === sha256) return kept;
    let fetched = await this.source.fetch(project, sha256, signal);
    if (hashOf(fetched) !== sha256) fetched = await this.source.fetch(project, sha256, signal);
    const hash = hashOf(fetched);
    if (hash !== sha256)
      throw new AppError('ARTIFACT_CORRUPT', `artefact ${sha256} came twice with other content (sha256 ${hash}, ${fetched.length} bytes)`, {
        details: { sha256 },
      });
    await writeAtomically(this.pathOf(sha256), fetched);
    return fetched;
  }

  /** What the trial of the artefact with this runtime found, on this machine; undefined = there was none yet, or its record cannot be read. */
  async proofOf(sha256: string, runtime: string): Promise<TrialRecord | undefined> {
    const text = await readFile(this.#proof(sha256, runtime), 'utf8').catch(() => '');
    return parseTrialRecord(text);
  }

  async markProven(sha256: string, runtime: string, record: TrialRecord): Promise<void> {
    await writeAtomically(this.#proof(sha256, runtime), JSON.stringify(record));
  }

  #proof(sha256: string, runtime: string): string {
    return `${this.pathOf(sha256)}.proven-${runtime}`;
  }
}

/** The registry's HTTP door. */
export class HttpArtifacts implements ArtifactSource {
  constructor(
    private readonly baseUrl: string,
    private readonly apiKey: string,
    private readonly timeoutMs: number,
    private readonly request: Fetch,
  ) {}

  async fetch(project: string, sha256: string, signal?: AbortSignal): Promise<Uint8Array> {
    const url = `${this.baseUrl.replace(/\/$/, '')}/artifacts/${sha256}?project=${encodeURIComponent(project)}`;
    const deadline = AbortSignal.timeout(this.timeoutMs);
    try {
      const response = await this.request(url, {
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
        headers: this.apiKey ? { authorization: `Bearer ${this.apiKey}` } : {},
      });
      if (response.status === 404)
        throw new AppError('ARTIFACT_UNKNOWN', `the registry has no artefact ${sha256}`, { details: { sha256 } });
      if (!response.ok)
        throw new AppError('DEPENDENCY_UNAVAILABLE', `the registry answered ${response.status} for artefact ${sha256}`, {
          details: { dependency: 'registry' },
        });
      return new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError('DEPENDENCY_UNAVAILABLE', `artefact ${sha256} could not be fetched from the registry: ${messageOf(error)}`, {
        details: { dependency: 'registry' },
        cause: error,
      });
    }
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
