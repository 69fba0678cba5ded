import { messageOf } from '@headrace/base/errors';
import { Signature } from '@headrace/contracts/registry/v1/registry';
import { VALUE_TYPES } from '@headrace/definitions/feature-field';
import type { Log } from '@headrace/platform/log';
import type { WindowFeature } from '@headrace/windows/window-plan';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { RoutePolicy } from '../domain/route-policy.js';
import type { ComputedTimeFeature, VersionDescription } from '../domain/version-description.js';
import { writeAtomically } from './atomic-file.js';

const view = z.object({
  name: z.string(),
  entity: z.string(),
  ttlMs: z.number(),
  fields: z.array(z.object({ name: z.string(), type: z.enum(VALUE_TYPES), dimension: z.number().optional() })),
  joinKeys: z.array(z.string()).optional(),
  // We wrote them; what they say was checked where they were defined.
  windows: z.array(z.custom<WindowFeature>()).optional(),
  timeFeatures: z.array(z.custom<ComputedTimeFeature>()).optional(),
});
const redaction = z.enum(['omit', 'hash']);
const description = z.object({
  project: z.string(),
  model: z.string(),
  version: z.number(),
  artifactSha256: z.string(),
  signature: z.unknown().transform((json) => Signature.fromJSON(json)),
  golden: z.unknown(),
  missingFeatures: z.enum(['null', 'default', 'refuse']),
  /** Files of earlier versions have neither of the two. */
  defaults: z.record(z.string(), z.union([z.number(), z.string()])).default({}),
  batchDelayMs: z.number().default(0),
  log: z
    .object({ sampleRate: z.number().optional(), redact: z.record(z.string(), redaction).default({}), entity: redaction.optional() })
    .default({ redact: {} }),
  /** Absent, and everything is redacted until the feature store is asked. */
  personal: z.array(z.string()).optional(),
  views: z.array(view),
});
const salt = z.string();
const traffic = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('champion') }),
  z.object({ kind: z.literal('canary'), version: z.number(), percent: z.number(), salt }),
  z.object({
    kind: z.literal('split'),
    arms: z.array(z.object({ name: z.string(), version: z.number(), weight: z.number() })),
    salt,
  }),
]);
const policy = z.object({ traffic, shadow: z.object({ version: z.number(), percent: z.number() }).optional() });
const route = z.object({ project: z.string(), model: z.string(), policy });
/** Files of earlier versions have no routes. */
const file = z.object({
  format: z.literal(1),
  champions: z.array(description),
  pinned: z.array(description),
  routes: z.array(route).default([]),
  // Files of the time before it have none.
  heldOut: z.array(z.object({ project: z.string(), model: z.string() })).default([]),
});

export interface SavedRouting {
  readonly champions: readonly VersionDescription[];
  readonly pinned: readonly VersionDescription[];
  /** Of models whose champion does not answer alone. */
  readonly routes: readonly { readonly project: string; readonly model: string; readonly policy: RoutePolicy }[];
  /** Models that were unloaded by request, and stay out until they are asked for again. */
  readonly heldOut: readonly { readonly project: string; readonly model: string }[];
}

/** The routing of this process on disk, so that a restart needs nobody. Written whole after each change, one write at a time. */
export class RoutingFile {
  #writing: Promise<void> = Promise.resolve();

  constructor(
    readonly path: string,
    private readonly log: Pick<Log, 'warn'>,
  ) {}

  /** What was saved; empty when nothing was, or when the file cannot be understood (the registry will be asked anyway). */
  async read(): Promise<SavedRouting> {
    try {
      return file.parse(JSON.parse(await readFile(this.path, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.log.warn('saved routing is not usable; starting without it', { path: this.path, error: messageOf(error) });
      return { champions: [], pinned: [], routes: [], heldOut: [] };
    }
  }

  /** Resolves when the file is on disk. A full disk must not stop the serving: it is logged, and the next change tries again. */
  write(routing: SavedRouting): Promise<void> {
    const { champions, pinned, routes, heldOut } = routing;
    const text = JSON.stringify({ format: 1, champions: champions.map(toJson), pinned: pinned.map(toJson), routes, heldOut });
    this.#writing = this.#writing
      .then(() => writeAtomically(this.path, text))
      .catch((error: unknown) =>
        this.log.warn('routing could not be saved; a restart would need the registry', { path: this.path, error: messageOf(error) }),
      );
    return this.#writing;
  }
}

function toJson(version: VersionDescription): unknown {
  return { ...version, signature: Signature.toJSON(version.signature) };
}
