import { AppError } from '@headrace/base/errors';
import { SQL_TYPES } from './identifier.js';
import type { PlanColumn } from './point-in-time-plan.js';
import { fieldOf, groupByView, probe, refuseRepeats, type Knowledge, type ViewJoin } from './point-in-time-probe.js';
import { splitReference } from '@headrace/definitions/reference';
import type { Field, View } from './view.js';

/** A column of an entity frame: what the caller brings, one row for each moment at which an entity is asked about. */
export interface FrameColumn {
  readonly name: string;
  readonly type: Exclude<Field['type'], 'embedding'>;
}

export interface FrameRequest {
  /** `view:feature`, in the order of the columns. */
  readonly features: readonly string[];
  /** Column with the moment of each row. */
  readonly timeColumn: string;
  readonly knowledge: Knowledge;
}

export interface FramePlan {
  /** Frame columns that make the joined key of the views keyed so; one text column of the uploaded frame for each. */
  readonly keys: readonly (readonly number[])[];
  readonly timeIndex: number;
  /** Of the uploaded frame: `_row`, `_time`, one `_e<i>` for each of `keys`, then `f<i>` for each column but the time. */
  readonly create: string;
  readonly copy: string;
  /** Complete but for the frame itself, which is uploaded as the temporary table `frame`. Its first column is `_e0`, which it is ordered by. */
  readonly sql: string;
  /** Of `sql`, behind the first. */
  readonly columns: readonly PlanColumn[];
  readonly viewHashes: Readonly<Record<string, string>>;
}

/**
 * Every row of the frame with each feature as it was known at that row's time (`probe`). The frame is sorted before it is joined, so
 * that the probes walk the covering index in its order: measured 4.5 s against 10.2 s for 1M rows and two views of 5M.
 * @throws AppError VIEW_UNKNOWN, REQUEST_INVALID
 */
export function planFrame(frame: readonly FrameColumn[], request: FrameRequest, find: (view: string) => View): FramePlan {
  const timeIndex = timeColumn(frame, request.timeColumn);
  const joins = groupByView(request.features, find);
  const keys: number[][] = [];
  const entityOf = new Map(joins.map((join) => [join, `s._e${keyList(keys, frame, join)}`]));
  const columns: PlanColumn[] = frame.map(({ name, type }, i) =>
    i === timeIndex ? { name, type: 'timestamp', source: '_time', nullable: false } : { name, type, source: `f${i}`, nullable: true },
  );
  const selected: string[] = [];
  for (const [i, reference] of request.features.entries()) {
    const { view, feature } = splitReference(reference);
    const join = joins.find((j) => j.view.name === view)!;
    selected.push(`${join.alias}."${feature}" AS c${i}`);
    columns.push({ name: `${view}__${feature}`, type: fieldOf(join.view, feature).type, source: `c${i}`, nullable: true });
  }
  refuseRepeats(columns);
  const order = ['_e0', '_time', '_row'];
  const typed = frame.flatMap(({ type }, i) => (i === timeIndex ? [] : [`f${i} ${SQL_TYPES[type]}`]));
  return {
    keys,
    timeIndex,
    create: `CREATE TEMPORARY TABLE frame (${['_row bigint', '_time timestamptz', ...keys.map((_, i) => `_e${i} text COLLATE "C"`), ...typed].join(', ')}) ON COMMIT DROP`,
    copy: 'COPY frame FROM STDIN (FORMAT binary)',
    sql: [
      `SELECT ${['s._e0', ...frame.map((_, i) => (i === timeIndex ? 's._time' : `s.f${i}`)), ...selected].join(', ')}`,
      `FROM (SELECT * FROM frame ORDER BY ${order.join(', ')}) s`,
      ...joins.flatMap((join) => probe(join, entityOf.get(join)!, 's._time', request.knowledge)),
      `ORDER BY ${order.map((column) => `s.${column}`).join(', ')}`,
    ].join('\n'),
    columns,
    viewHashes: Object.fromEntries(joins.map(({ view }) => [view.name, view.contentHash])),
  };
}

function timeColumn(frame: readonly FrameColumn[], name: string): number {
  const index = frame.findIndex((column) => column.name === name);
  if (index < 0) throw invalid(`the frame has no time column ${name}; it has ${namesOf(frame)}`);
  if (frame[index]!.type !== 'timestamp') throw invalid(`column ${name} of the frame holds ${frame[index]!.type}; timestamps are wanted`);
  return index;
}

/** Position in `keys` of the frame columns that name the view's entity; views keyed alike share one. */
function keyList(keys: number[][], frame: readonly FrameColumn[], { view }: ViewJoin): number {
  const list = view.joinKeys.map((key) => {
    const index = frame.findIndex((column) => column.name === key);
    if (index < 0) throw invalid(`view ${view.name} is keyed by ${view.joinKeys.join(', ')}, but the frame only has ${namesOf(frame)}`);
    const { type } = frame[index]!;
    if (type === 'float64' || type === 'timestamp')
      throw invalid(`column ${key} of the frame holds ${type}; a join key must be text, a whole number or a bool`);
    return index;
  });
  const known = keys.findIndex((one) => one.join() === list.join());
  return known >= 0 ? known : keys.push(list) - 1;
}

function namesOf(frame: readonly FrameColumn[]): string {
  return frame.map((column) => column.name).join(', ');
}

function invalid(message: string): AppError {
  return new AppError('REQUEST_INVALID', message);
}
