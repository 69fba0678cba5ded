import { Log } from '@headrace/platform/log';
import { Telemetry as PlatformTelemetry } from '@headrace/platform/telemetry';
import { Injectable } from '@nestjs/common';
import type { VersionRow } from './io/versions.js';

/** Business facts of the registry: each one counter and one log line. */
@Injectable()
export class Telemetry {
  readonly #versions;
  readonly #bytes;

  constructor(
    telemetry: PlatformTelemetry,
    private readonly log: Log,
  ) {
    this.#versions = telemetry.counter({
      name: 'headrace_registry_versions_judged_total',
      help: 'Versions by verdict',
      labels: ['verdict'],
    });
    this.#bytes = telemetry.counter({ name: 'headrace_registry_artifact_bytes_total', help: 'Bytes of stored artefacts' });
  }

  versionJudged({ model, version, state, blessed, run_id: runId, gates }: VersionRow): void {
    this.#versions.inc({ verdict: blessed ? 'blessed' : 'rejected' });
    const refusedBy = (gates ?? []).filter((gate) => !gate.passed).map((gate) => gate.sentence);
    this.log.info('version judged', { model, version, state, runId, blessed, ...(refusedBy.length > 0 ? { refusedBy } : {}) });
  }

  artifactStored(sha256: string, bytes: number): void {
    this.#bytes.inc(bytes);
    this.log.info('artefact stored', { sha256, bytes });
  }

  uploadsSwept(count: number): void {
    if (count > 0) this.log.warn('removed uploads that a crash had cut off', { count });
  }
}
