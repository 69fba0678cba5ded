import { compileBlobSchema, type BlobSchema } from '@headrace/codec/feature-blob';
import type { AggregatedFeature } from '@headrace/definitions/aggregation';
import type { Spec } from '@headrace/definitions/definition';
import { aggregationsOf } from '@headrace/definitions/served-features';
import { compileWindowPlan, type WindowPlan } from '@headrace/windows/window-plan';

export type ViewSpec = Spec<'FeatureView'>;
export type Field = ViewSpec['features'][number];

/** One stored version of a definition of kind FeatureView. */
export interface ViewVersion {
  readonly version: number;
  readonly contentHash: string;
  readonly spec: ViewSpec;
}

/** A feature view with all that ingest and reading need, compiled once when the catalogue loads it. Immutable. */
export interface View {
  /** Names its table; never reused. */
  readonly id: number;
  readonly project: string;
  readonly name: string;
  readonly version: number;
  readonly contentHash: string;
  readonly spec: ViewSpec;
  readonly entity: string;
  /** In the order of the entity's definition. */
  readonly joinKeys: readonly string[];
  readonly partitionMonths: number;
  readonly fieldIndex: ReadonlyMap<string, number>;
  readonly blob: BlobSchema;
  /** Layouts of every version so far, by fingerprint: blobs of older versions stay readable. */
  readonly layouts: ReadonlyMap<number, BlobSchema>;
  /** Its aggregations; undefined when it has none. */
  readonly windows: WindowPlan | undefined;
  /** In the order of the window plan's features. */
  readonly aggregations: readonly AggregatedFeature[];
  /** Names the layout of everything that the view has online. */
  readonly onlineFingerprint: number;
}

export interface ViewParts {
  readonly id: number;
  readonly project: string;
  readonly name: string;
  readonly joinKeys: readonly string[];
  readonly partitionMonths: number;
  /** Oldest first, at least one. */
  readonly versions: readonly ViewVersion[];
}

export function compileView({ id, project, name, joinKeys, partitionMonths, versions }: ViewParts): View {
  const { version, contentHash, spec } = versions.at(-1)!;
  const layouts = versions.map((v) => compileBlobSchema(v.spec.features));
  const blob = layouts.at(-1)!;
  const aggregations = aggregationsOf(spec);
  const windows = aggregations.length > 0 ? compileWindowPlan(aggregations) : undefined;
  return {
    id,
    project,
    name,
    version,
    contentHash,
    spec,
    entity: spec.entity,
    joinKeys,
    partitionMonths,
    fieldIndex: blob.indexOf,
    blob,
    layouts: new Map(layouts.map((layout) => [layout.fingerprint, layout])),
    windows,
    aggregations,
    onlineFingerprint: windows ? (blob.fingerprint ^ windows.fingerprint) >>> 0 : blob.fingerprint,
  };
}
