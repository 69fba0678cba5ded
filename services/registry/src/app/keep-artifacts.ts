import { AppError } from '@headrace/base/errors';
import { Injectable } from '@nestjs/common';
import type { Readable } from 'node:stream';
import { ArtifactStore } from '../io/artifacts.js';
import { Telemetry } from '../telemetry.js';

/** Takes artefacts in and gives them out, as streams: neither is ever whole in memory here. */
@Injectable()
export class KeepArtifacts {
  constructor(
    private readonly store: ArtifactStore,
    private readonly telemetry: Telemetry,
  ) {}

  /** @throws AppError MESSAGE_TOO_LARGE | ARTIFACT_CORRUPT | CANCELLED; then nothing is left behind */
  async put(project: string, sha256: string, body: Readable): Promise<{ bytes: number; created: boolean }> {
    const kept = await this.store.put(project, sha256, body).catch(brokenOff);
    if (kept.created) this.telemetry.artifactStored(sha256, kept.bytes);
    return kept;
  }

  /** @throws AppError ARTIFACT_UNKNOWN */
  get(project: string, sha256: string): Promise<{ bytes: number; body: Readable }> {
    return this.store.stream(project, sha256);
  }

  /** Removes what crashed uploads left behind. */
  async sweep(): Promise<void> {
    this.telemetry.uploadsSwept(await this.store.sweep());
  }
}

/** The caller went away: its business, no defect of ours. */
function brokenOff(error: unknown): never {
  if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
  throw new AppError('CANCELLED', 'the caller broke the upload off', { cause: error });
}
