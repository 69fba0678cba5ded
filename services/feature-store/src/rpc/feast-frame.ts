import type { IncomingRow } from '../domain/feature-row.js';
import { readJsonRow } from '../domain/json-row.js';
import type { View } from '../domain/view.js';
import { requestInvalid } from '../errors.js';

/** Feast's column of event times; `created` is its arrival time, which is ours to say. */
const EVENT_TIME = 'event_timestamp';
const CREATED = 'created';

/** A frame by column -> rows of the view: join keys, event time, and every other column is a feature. */
export function rowsOfFrame(
  { joinKeys, spec }: Pick<View, 'joinKeys' | 'spec'>,
  frame: Readonly<Record<string, readonly unknown[]>>,
): IncomingRow[] {
  const columns = Object.entries(frame);
  const count = columns[0]?.[1].length ?? 0;
  if (columns.some(([, values]) => values.length !== count)) throw requestInvalid('the lists under `df` must all have the same length');
  if (!Object.hasOwn(frame, EVENT_TIME)) throw requestInvalid(`\`df\` has no column ${EVENT_TIME}`);
  const features = columns.filter(([name]) => name !== EVENT_TIME && name !== CREATED && !joinKeys.includes(name));
  const times = new Set(spec.features.filter(({ type }) => type === 'timestamp').map(({ name }) => name));
  return Array.from({ length: count }, (_, row) =>
    readJsonRow({
      entity: Object.fromEntries(joinKeys.filter((key) => Object.hasOwn(frame, key)).map((key) => [key, frame[key]![row]])),
      eventTime: withZone(frame[EVENT_TIME]![row]),
      values: Object.fromEntries(features.map(([name, values]) => [name, times.has(name) ? fromFeastTime(values[row]) : values[row]])),
    }),
  );
}

/** What pandas has for "no time", as a 64-bit integer. */
const NOT_A_TIME = -(2 ** 63);

/** A timestamp feature as Feast's clients send it, in seconds of the epoch; texts are times as everywhere. */
function fromFeastTime(value: unknown): unknown {
  if (typeof value !== 'number') return value;
  return value === NOT_A_TIME ? null : Math.round(value * 1000);
}

/** The same the other way: whole seconds stay whole, as Feast has no finer ones. */
export function toFeastTime(ms: number): number {
  return ms / 1000;
}

const NO_ZONE = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?$/;

/** Feast writes times in UTC without a zone, pandas with a space in the middle. */
function withZone(time: unknown): unknown {
  if (typeof time !== 'string') return time;
  const text = time.replace(' ', 'T');
  return NO_ZONE.test(text) ? `${text}Z` : text;
}
