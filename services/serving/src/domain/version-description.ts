import type { Signature } from '@headrace/contracts/registry/v1/registry';
import type { TimeFeature } from '@headrace/definitions/time-feature';
import type { WindowFeature } from '@headrace/windows/window-plan';
import type { BlobField } from '@headrace/codec/feature-blob';
import type { LogPolicy } from './log-rules.js';

export type ComputedTimeFeature = Exclude<TimeFeature, { kind: 'frequency' }>;

/** A feature view as serving needs it: where its values lie in a blob, and how long they are good. */
export interface ViewSchema {
  readonly name: string;
  readonly entity: string;
  /** 0 = values never expire. */
  readonly ttlMs: number;
  readonly fields: readonly BlobField[];
  /** Of the view's entity, in order; descriptions of older releases lack it, then it is the model's entity. */
  readonly joinKeys?: readonly string[] | undefined;
  /** Features that are computed from windows at reading. */
  readonly windows?: readonly WindowFeature[] | undefined;
  /** Features made of time alone: of the row's, or of the request's. Frequencies are windows. */
  readonly timeFeatures?: readonly ComputedTimeFeature[] | undefined;
}

/** What the definition of the model says about its serving. */
export interface ServingPolicy {
  /** For an entity whose features are missing or past their age: answer from nulls, from defaults, or refuse. */
  readonly missingFeatures: 'null' | 'default' | 'refuse';
  /** By column; a feature without one is null. */
  readonly defaults: Readonly<Record<string, number | string>>;
  readonly batchDelayMs: number;
  readonly log: LogPolicy;
}

/** All that it takes to serve a version without asking anyone: what the registry and the feature store said, kept on disk. */
export interface VersionDescription extends ServingPolicy {
  readonly project: string;
  readonly model: string;
  readonly version: number;
  readonly artifactSha256: string;
  readonly signature: Signature;
  /** As the training runtime wrote it; checked by golden-rows.ts. */
  readonly golden: unknown;
  /** The views that the signature refers to; empty when the model has no entity. */
  readonly views: readonly ViewSchema[];
  /** References of the signature whose values are personal; undefined = the feature store has not said so far. */
  readonly personal?: readonly string[] | undefined;
}

export function nameOf(version: { readonly model: string; readonly version: number }): string {
  return `${version.model}/${version.version}`;
}
