import { blobEventTimeMs, blobFingerprint, checkBlob, readValue, type FeatureValue } from '@headrace/codec/feature-blob';
import { isExpired } from './freshness.js';
import type { View } from './view.js';

export type FieldStatus = 'present' | 'null_value' | 'not_found' | 'outside_max_age';

export interface OnlineValue {
  readonly value: FeatureValue;
  readonly status: FieldStatus;
  /** undefined when nothing was found. */
  readonly eventTimeMs: number | undefined;
}

const NOT_FOUND: OnlineValue = { value: null, status: 'not_found', eventTimeMs: undefined };

/** One feature of one blob. An expired value is not shown, only its time; a feature newer than the blob is null. */
export function readOnline(view: View, feature: string, blob: Buffer | null, nowMs: number): OnlineValue {
  const layout = blob ? view.layouts.get(blobFingerprint(blob)) : undefined;
  if (!blob || !layout || checkBlob(layout, blob) !== 'none') return NOT_FOUND;
  const eventTimeMs = blobEventTimeMs(blob);
  if (isExpired(eventTimeMs, nowMs, view.spec.ttl)) return { value: null, status: 'outside_max_age', eventTimeMs };
  const index = layout.indexOf.get(feature);
  const value = index === undefined ? null : readValue(layout, blob, index);
  return { value, status: value === null ? 'null_value' : 'present', eventTimeMs };
}

/** Whether a stored blob cannot be read: it counts as missing, and as a defect. */
export function isUnreadable(view: View, blob: Buffer): boolean {
  const layout = view.layouts.get(blobFingerprint(blob));
  return !layout || checkBlob(layout, blob) !== 'none';
}
