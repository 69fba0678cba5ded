import type { DerivedColumn } from './derived-features.js';
import type { FieldStatus } from './online-vector.js';
import type { HistoryRow, LostReason } from './row-verdict.js';
import type { WindowOrigin } from './window-origin.js';

/** Everything about one stored feature or window at one moment. */
export interface ToldOrigin {
  readonly reference: string;
  readonly status: FieldStatus;
  readonly eventTimeMs: number | undefined;
  readonly newest: HistoryRow | undefined;
  readonly window: WindowOrigin | undefined;
  readonly ttlMs: number;
}

const time = (ms: number): string => new Date(ms).toISOString();
const arrival = (us: number): string => time(Math.floor(us / 1000));

/** Why a stored feature or a window has its value, without the value, which may be personal. */
export function reasonOf(origin: ToldOrigin): string {
  const { reference, status, eventTimeMs, ttlMs, window, newest } = origin;
  if (status === 'outside_max_age')
    return `${reference} is not given: its newest event, of ${time(eventTimeMs!)}, is older than the time to live of ${ttlMs} ms`;
  if (window) return windowReason(reference, status, window);
  if (!newest) return `${reference} is not there: no row of this entity counts at that moment`;
  const row = `the row of ${time(newest.eventTimeMs)}, which arrived ${arrival(newest.firstIngestUs)}${newest.lastIngestUs > newest.firstIngestUs ? ` and again ${arrival(newest.lastIngestUs)}` : ''}`;
  return status === 'null_value'
    ? `${reference} is null, because ${row}, has no value for it; older rows do not fill it in`
    : `${reference} comes from ${row}`;
}

function windowReason(reference: string, status: FieldStatus, { feature, fromMs, toMs, rows, hopMs }: WindowOrigin): string {
  const of = feature.column === undefined ? 'rows' : feature.column;
  const span = `event times from ${time(fromMs)} to ${time(toMs)} (${feature.windowMs} ms, its far edge in steps of ${hopMs} ms)`;
  if (status === 'not_found')
    return `${reference} is not there: the entity has no row in the longest window of the view; this one covers ${span}`;
  return `${reference} is ${feature.function} of ${of} over ${rows} rows with ${span}`;
}

/** Why a computed feature has its value. @param how its expression, or what it is taken of. */
export function computedReason(column: Pick<DerivedColumn, 'reference'>, how: string, inputs: readonly ToldOrigin[]): string {
  const missing = inputs
    .filter(({ status }) => status !== 'present')
    .map(({ reference, status }) => `${reference} is ${status.replaceAll('_', ' ')}`);
  return `${column.reference} is computed: ${how}${missing.length > 0 ? `; ${missing.join(', ')}` : ''}`;
}

const LOST: Readonly<Record<LostReason, string>> = {
  later: 'its event lies after the moment',
  not_arrived: 'it had not arrived by then',
  too_old: 'it is older than the time to live',
  older_event: 'a newer event replaced it',
  earlier_arrival: 'another row of the same instant arrived after it',
  smaller_content: 'another row of the same instant and arrival has the larger content hash, which settles ties',
  before_window: 'it lies before the far edge of the window',
};

export function lostText(reason: LostReason): string {
  return LOST[reason];
}
