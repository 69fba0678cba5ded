import { blobEventTimeMs, blobFingerprint, checkBlob, type BlobSchema } from '@headrace/codec/feature-blob';
import {
  compileColumns,
  encodeNames,
  NOT_FOUND,
  OUTSIDE_MAX_AGE,
  PRESENT,
  type FoundColumns,
  type FoundRow,
} from '@headrace/codec/online-features';
import { joinEntityKey, onlineKey } from '@headrace/codec/feature-key';
import { isExpired } from './freshness.js';
import { vectorKeyOf, type ServiceVector } from './service-vector.js';
import type { View } from './view.js';

/** An online read compiled once for the many requests that ask the same of other entities. */
export interface OnlineRead {
  /** Of all its views. */
  readonly joinKeys: readonly string[];
  readonly views: readonly ReadView[];
  /** For each wanted feature the index of its view. */
  readonly viewOf: Int32Array;
  /** One for each view, reused from entity to entity. */
  readonly found: readonly FoundRow[];
  /** Holds the rows of all the views; undefined when they are read themselves. */
  readonly vector: ServiceVector | undefined;
  /** Of the answer, encoded: empty when the features were named one by one. */
  readonly names: Uint8Array;
}

export interface ReadView {
  readonly view: View;
  /** Where the view's join keys stand among those of the read. */
  readonly slots: readonly number[];
  /** By the fingerprint of a layout: where the features of the answer lie in it. */
  readonly columns: ReadonlyMap<number, FoundColumns>;
  readonly found: FoundRow;
}

export interface CompiledFrom {
  readonly views: readonly View[];
  /** In the order of the answer; `view` is an index into `views`. */
  readonly wanted: readonly { readonly feature: string; readonly view: number }[];
  readonly vector: ServiceVector | undefined;
  readonly names: readonly string[];
}

/** @returns undefined when the answer holds lists, which the hot codec does not write. */
export function compileRead({ views, wanted, vector, names }: CompiledFrom): OnlineRead | undefined {
  const isList = ({ feature, view }: (typeof wanted)[number]): boolean =>
    views[view]!.spec.features.some((field) => field.name === feature && field.type === 'embedding');
  if (wanted.some(isList)) return undefined;
  const joinKeys = [...new Set(views.flatMap((view) => view.joinKeys))];
  const read = views.map((view, v): ReadView => {
    const indicesOf = (layout: BlobSchema): Int32Array =>
      Int32Array.from(wanted, (one) => (one.view === v ? (layout.indexOf.get(one.feature) ?? -1) : -1));
    const columns = new Map([...view.layouts].map(([fingerprint, layout]) => [fingerprint, compileColumns(layout, indicesOf(layout))]));
    const found: FoundRow = { columns: undefined, blob: undefined, status: NOT_FOUND, eventTimeMs: 0 };
    return { view, slots: view.joinKeys.map((key) => joinKeys.indexOf(key)), columns, found };
  });
  const viewOf = Int32Array.from(wanted, (one) => one.view);
  return { joinKeys, views: read, viewOf, found: read.map((one) => one.found), vector, names: encodeNames(names) };
}

/** Redis key of one entity; undefined when it lacks a join key. @param values of the read's join keys. */
export function keyOf({ view, slots }: ReadView, values: readonly (string | undefined)[]): string | undefined {
  const entityKey = entityKeyOf(slots, values);
  return entityKey === undefined ? undefined : onlineKey(view.project, view.entity, entityKey, view.name);
}

/** All views of a vector have the join keys of its entity. */
export function keyOfVector(
  vector: ServiceVector,
  [view]: readonly ReadView[],
  values: readonly (string | undefined)[],
): string | undefined {
  const entityKey = entityKeyOf(view!.slots, values);
  return entityKey === undefined ? undefined : vectorKeyOf(vector, entityKey);
}

function entityKeyOf(slots: readonly number[], values: readonly (string | undefined)[]): string | undefined {
  const keys = scratch;
  keys.length = slots.length;
  for (let i = 0; i < slots.length; i++) {
    const value = values[slots[i]!];
    if (value === undefined) return undefined;
    keys[i] = value;
  }
  return joinEntityKey(keys);
}

const scratch: string[] = [];

/** Fills the view's `found`. @returns false when the blob has a layout that is not known here, or is corrupt. */
export function findRow({ view, columns, found }: ReadView, blob: Buffer | null, nowMs: number): boolean {
  if (blob === null) {
    found.columns = undefined;
    found.status = NOT_FOUND;
    found.eventTimeMs = 0;
    return true;
  }
  const known = columns.get(blobFingerprint(blob));
  if (!known || checkBlob(known.layout, blob) !== 'none') return false;
  found.eventTimeMs = blobEventTimeMs(blob);
  const isOld = isExpired(found.eventTimeMs, nowMs, view.spec.ttl);
  found.columns = isOld ? undefined : known;
  found.status = isOld ? OUTSIDE_MAX_AGE : PRESENT;
  found.blob = blob;
  return true;
}
