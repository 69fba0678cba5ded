import { AppError } from '@headrace/base/errors';
import { RegistryDefinition, VersionState, type Signature, type Version } from '@headrace/contracts/registry/v1/registry';
import type { Redaction } from '@headrace/definitions/model-definition';
import type { ServingPolicy } from '../domain/version-description.js';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import type { LiveTlsMaterial } from '@headrace/wire/tls-material';

/** A version as the registry knows it, reduced to what serving asks of it. */
export interface RegisteredVersion {
  readonly project: string;
  readonly model: string;
  readonly version: number;
  readonly isBlessed: boolean;
  readonly state: string;
  readonly artifactSha256: string;
  readonly signature: Signature | undefined;
  readonly golden: unknown;
}

export interface RegisteredModel {
  readonly project: string;
  readonly name: string;
  /** 0 = no champion. */
  readonly champion: number;
  readonly policy: ServingPolicy;
}

/** States that only a blessed version can be in; `archived` ones were blessed or not, and their blessing says which. */
const BLESSED_STATES: ReadonlySet<VersionState> = new Set([
  VersionState.BLESSED,
  VersionState.SHADOW,
  VersionState.CANARY,
  VersionState.CHAMPION,
]);

/** The registry's gRPC door. Every call has a deadline; an unreachable registry is DEPENDENCY_UNAVAILABLE. */
export class RegistryClient {
  readonly #client: Client<typeof RegistryDefinition>;

  constructor(address: string, apiKey: string, timeoutMs: number, tls: LiveTlsMaterial) {
    this.#client = createClient(RegistryDefinition, address, { apiKey, defaultTimeoutMs: timeoutMs, tls });
  }

  async listModels(project: string): Promise<RegisteredModel[]> {
    const { models } = await this.#client.listModels({ project });
    return models.map(toModel);
  }

  async getModel(project: string, model: string): Promise<RegisteredModel> {
    return toModel(await this.#client.getModel({ project, model }));
  }

  async getVersion(project: string, model: string, version: number): Promise<RegisteredVersion> {
    return toVersion(await this.#client.getVersion({ project, model, version }));
  }

  close(): Promise<void> {
    this.#client.close();
    return Promise.resolve();
  }
}

/** @throws AppError VERSION_NOT_BLESSED naming the gates that refused it. */
export function refuseUnblessed(version: RegisteredVersion): void {
  if (version.isBlessed) return;
  throw new AppError(
    'VERSION_NOT_BLESSED',
    `version ${version.version} of ${version.model} is ${version.state} and was not blessed; it may not serve`,
    {
      details: { model: version.model, version: String(version.version), state: version.state },
    },
  );
}

function toModel(model: {
  project: string;
  name: string;
  aliases: Record<string, number>;
  spec?: Record<string, unknown> | undefined;
}): RegisteredModel {
  return {
    project: model.project,
    name: model.name,
    champion: model.aliases['champion'] ?? 0,
    policy: servingPolicyOf(model.spec),
  };
}

/** The registry has checked the definition; what a later version of it may say and we do not know is left at its default. */
function servingPolicyOf(spec: Record<string, unknown> = {}): ServingPolicy {
  const { missingFeatures, defaults, serving, predictionLog } = spec as {
    missingFeatures?: unknown;
    defaults?: unknown;
    serving?: { batchDelay?: unknown };
    predictionLog?: { sampleRate?: unknown; redact?: unknown; entity?: unknown };
  };
  const given = Object.entries((defaults ?? {}) as Record<string, unknown>);
  return {
    missingFeatures: missingFeatures === 'refuse' || missingFeatures === 'default' ? missingFeatures : 'null',
    defaults: Object.fromEntries(
      given.filter((entry): entry is [string, number | string] => ['number', 'string'].includes(typeof entry[1])),
    ),
    batchDelayMs: typeof serving?.batchDelay === 'number' ? serving.batchDelay : 0,
    log: {
      ...(typeof predictionLog?.sampleRate === 'number' ? { sampleRate: predictionLog.sampleRate } : {}),
      redact: Object.fromEntries(Object.entries(predictionLog?.redact ?? {}).map(([column, how]) => [column, redactionOf(how)])),
      ...(predictionLog?.entity === undefined ? {} : { entity: redactionOf(predictionLog.entity) }),
    },
  };
}

/** A form that we do not know is the strictest that we do. */
function redactionOf(how: unknown): Redaction {
  return how === 'hash' ? 'hash' : 'omit';
}

function toVersion(version: Version): RegisteredVersion {
  const state = version.state.replace('VERSION_STATE_', '').toLowerCase();
  const isBlessed = BLESSED_STATES.has(version.state) || (version.state === VersionState.ARCHIVED && version.blessing?.blessed === true);
  const { project, model, artifactSha256, signature, golden } = version;
  return { project, model, version: version.version, isBlessed, state, artifactSha256, signature, golden };
}
