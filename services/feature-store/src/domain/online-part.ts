import { blobFingerprint } from '@headrace/codec/feature-blob';
import { readWindows, windowBlobFingerprint } from '@headrace/windows/window-blob';
import { WindowFold } from '@headrace/windows/window-fold';
import { isExpired } from './freshness.js';
import { isUnreadable as isUnreadableRow, readOnline, type OnlineValue } from './online-vector.js';
import type { View } from './view.js';

/** What stands under one key of an entity: the newest row of a view, or its windows. */
export interface OnlinePart {
  readonly view: View;
  readonly kind: 'row' | 'windows';
}

export interface PartReader {
  over(blob: Buffer | null, nowMs: number): void;
  value(feature: string): OnlineValue;
}

export function readerOf({ view, kind }: OnlinePart): PartReader {
  return kind === 'row' ? new RowReader(view) : new WindowsReader(view);
}

class RowReader implements PartReader {
  #blob: Buffer | null = null;
  #nowMs = 0;
  constructor(private readonly view: View) {}

  over(blob: Buffer | null, nowMs: number): void {
    this.#blob = blob;
    this.#nowMs = nowMs;
  }
  value(feature: string): OnlineValue {
    return readOnline(this.view, feature, this.#blob, this.#nowMs);
  }
}

const NOT_FOUND: OnlineValue = { value: null, status: 'not_found', eventTimeMs: undefined };

/** Windows that end now. The event time is that of the newest row in them; without a row in the longest one nothing is found. */
class WindowsReader implements PartReader {
  readonly #fold: WindowFold;
  #isFound = false;
  #isExpired = false;
  constructor(private readonly view: View) {
    this.#fold = new WindowFold(view.windows!);
  }

  over(blob: Buffer | null, nowMs: number): void {
    const fold = this.#fold;
    this.#isFound = blob !== null && readWindows(blob, fold, nowMs) === 'none' && fold.rows > 0;
    this.#isExpired = this.#isFound && isExpired(fold.newestMs, nowMs, this.view.spec.ttl);
  }
  value(feature: string): OnlineValue {
    if (!this.#isFound) return NOT_FOUND;
    const eventTimeMs = this.#fold.newestMs;
    if (this.#isExpired) return { value: null, status: 'outside_max_age', eventTimeMs };
    const value = this.#fold.values[this.#fold.plan.indexOf.get(feature)!]!;
    return { value, status: value === null ? 'null_value' : 'present', eventTimeMs };
  }
}

/** Whether the view in memory is new enough to read the blob. */
export function isKnownLayout({ view, kind }: OnlinePart, blob: Buffer): boolean {
  return kind === 'row' ? view.layouts.has(blobFingerprint(blob)) : windowBlobFingerprint(blob) === view.windows!.fingerprint;
}

/** Whether a stored blob cannot be read: it counts as missing, and as a defect. */
export function isUnreadable({ view, kind }: OnlinePart, blob: Buffer): boolean {
  return kind === 'row' ? isUnreadableRow(view, blob) : windowBlobFingerprint(blob) !== view.windows!.fingerprint;
}
