import { blobEventTimeMs, blobFingerprint, checkBlob, type BlobSchema } from '@headrace/codec/feature-blob';
import { NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT, type FoundRow } from '@headrace/codec/online-features';
import { joinEntityKey, onlineKey } from '@headrace/codec/feature-key';
import { isExpired } from './freshness.js';
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
}

export interface ReadView {
  readonly view: View;
  /** Where the view's join keys stand among those of the read. */
  readonly slots: readonly number[];
  /** By the fingerprint of a layout: where the features of the answer lie in it. */
  readonly indices: ReadonlyMap<number, { readonly layout: BlobSchema; readonly indices: Int32Array }>;
  readonly found: FoundRow;
}

/**
 * @param wanted in the order of the answer; `view` is an index into `views`.
 * @returns undefined when the answer holds lists, which the hot codec does not write.
 */
export function compileRead(
  views: readonly View[],
  wanted: readonly { readonly feature: string; readonly view: number }[],
): OnlineRead | undefined {
  const isList = ({ feature, view }: (typeof wanted)[number]): boolean =>
    views[view]!.spec.features.some((field) => field.name === feature && field.type === 'embedding');
  if (wanted.some(isList)) return undefined;
  const joinKeys = [...new Set(views.flatMap((view) => view.joinKeys))];
  const read = views.map((view, v): ReadView => {
    const indicesOf = (layout: BlobSchema): Int32Array =>
      Int32Array.from(wanted, (one) => (one.view === v ? (layout.indexOf.get(one.feature) ?? -1) : -1));
    const indices = new Map([...view.layouts].map(([fingerprint, layout]) => [fingerprint, { layout, indices: indicesOf(layout) }]));
    const found: FoundRow = { layout: undefined, blob: undefined, status: NOT_FOUND, eventTimeMs: 0, indices: new Int32Array(0) };
    return { view, slots: view.joinKeys.map((key) => joinKeys.indexOf(key)), indices, found };
  });
  return { joinKeys, views: read, viewOf: Int32Array.from(wanted, (one) => one.view), found: read.map((one) => one.found) };
}

/** Redis key of one entity; undefined when it lacks a join key. @param values of the read's join keys. */
export function keyOf({ view, slots }: ReadView, values: readonly (string | undefined)[]): string | undefined {
  const keys = scratch;
  keys.length = slots.length;
  for (let i = 0; i < slots.length; i++) {
    const value = values[slots[i]!];
    if (value === undefined) return undefined;
    keys[i] = value;
  }
  return onlineKey(view.project, view.entity, joinEntityKey(keys), view.name);
}

const scratch: string[] = [];

/** Fills the view's `found`. @returns false when the blob has a layout that is not known here, or is corrupt. */
export function findRow({ view, indices, found }: ReadView, blob: Buffer | null, nowMs: number): boolean {
  if (blob === null) {
    found.layout = undefined;
    found.status = NOT_FOUND;
    found.eventTimeMs = 0;
    return true;
  }
  const known = indices.get(blobFingerprint(blob));
  if (!known || checkBlob(known.layout, blob) !== 'none') return false;
  found.eventTimeMs = blobEventTimeMs(blob);
  const isOld = isExpired(found.eventTimeMs, nowMs, view.spec.ttl);
  found.layout = isOld ? undefined : known.layout;
  found.status = isOld ? OUTSIDE_MAX_AGE : PRESENT;
  found.blob = blob;
  found.indices = known.indices;
  return true;
}
