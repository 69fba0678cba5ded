import type { RowFault } from './feature-row.js';
import type { View } from './view.js';

/** A refused row, with all that is needed to look at it and to send it again. */
export interface QuarantinedRow extends RowFault {
  readonly project: string;
  readonly view: string;
  /** `<topic>/<partition>/<offset>`, `push/<arrival>` or `backfill/<id>`. */
  readonly origin: string;
  /** Of the row in its origin, counted from 0. */
  readonly position: number;
  /** The row in the JSON of the topic, as it came. */
  readonly content: string;
  readonly arrivedUs: number;
}

/** As it lies in the quarantine. */
export interface KeptRow extends QuarantinedRow {
  readonly id: number;
  readonly quarantinedAtMs: number;
}

export const MASK = '(personal, not shown)';

/** The content with the values of personal features masked. The kept one stays whole: it is needed for a replay. */
export function maskContent(content: string, view: View | undefined): string {
  const personal = view?.spec.features.filter((feature) => feature.pii).map((feature) => feature.name) ?? [];
  const row = JSON.parse(content) as { values?: Record<string, unknown> } | null;
  const values = row?.values;
  if (personal.length === 0 || typeof values !== 'object' || values === null) return content;
  const masked = { ...values };
  for (const name of personal) if (Object.hasOwn(values, name)) masked[name] = MASK;
  return JSON.stringify({ ...row, values: masked });
}
