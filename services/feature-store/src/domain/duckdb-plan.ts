import { splitReference } from '@headrace/definitions/reference';
import { AppError } from '@headrace/base/errors';
import type { FrameColumn, FrameRequest } from './frame-plan.js';
import { quoteName, rowTable } from './identifier.js';
import { arrival, fieldOf, groupByView, known, type ViewJoin } from './point-in-time-probe.js';
import type { PlanColumn } from './point-in-time-plan.js';
import type { View } from './view.js';

/** The same join as `planFrame`, over Parquet files in DuckDB. */
export interface DuckDbPlan {
  /** What Postgres copies out for each view: one row for each entity and instant, the one that counts, ordered by both. */
  readonly histories: readonly {
    readonly view: View;
    readonly file: string;
    readonly sql: string;
    readonly columns: readonly PlanColumn[];
  }[];
  /** Reads `frame.parquet` and the histories beside it; a person may run it in any DuckDB. */
  readonly sql: string;
}

/**
 * DuckDB's ASOF JOIN takes the latest row not after the time; ties are settled when the history is copied out, and the time to live is
 * looked at behind the join, as in the online read. What each row knew at its own time has two inequalities, which ASOF cannot.
 * @throws AppError VIEW_UNKNOWN, REQUEST_INVALID
 */
export function planDuckDb(
  frame: readonly FrameColumn[],
  { features, timeColumn, knowledge }: FrameRequest,
  find: (view: string) => View,
): DuckDbPlan {
  if (knowledge.kind === 'rowTime')
    throw new AppError(
      'REQUEST_INVALID',
      'knowledge of the time of each row cannot be exported; ask for all rows or for one moment, or join in the feature store',
    );
  const joins = groupByView(features, find);
  const time = `f.${quote(timeColumn)}`;
  const selected = features.map((reference) => {
    const { view, feature } = splitReference(reference);
    const join = joins.find((one) => one.view.name === view)!;
    fieldOf(join.view, feature);
    const value = `${join.alias}.${quote(feature)}`;
    return `${withinTtl(join, time, value)} AS ${quote(`${view}__${feature}`)}`;
  });
  return {
    histories: joins.map((join) => ({
      view: join.view,
      file: fileOf(join),
      columns: historyColumns(join),
      sql: [
        `SELECT DISTINCT ON (_entity, _event_time) ${['_entity', '_event_time', ...join.features.map(quoteName)].join(', ')}`,
        `FROM ${rowTable(join.view.id)}`,
        `WHERE true${known('', knowledge)}`,
        `ORDER BY _entity, _event_time, ${arrival('', knowledge)} DESC, _content DESC`,
      ].join('\n'),
    })),
    sql: [
      `SELECT ${[...frame.map(({ name }) => `f.${quote(name)}`), ...selected].join(', ')}`,
      `FROM 'frame.parquet' f`,
      ...joins.map(
        (join) =>
          `ASOF LEFT JOIN '${fileOf(join)}' ${join.alias} ON ${join.alias}._entity = ${entityOf(join.view)} AND ${join.alias}._event_time <= ${time}`,
      ),
    ].join('\n'),
  };
}

function historyColumns({ view, features }: ViewJoin): PlanColumn[] {
  return [
    { name: '_entity', type: 'string', source: '_entity', nullable: false },
    { name: '_event_time', type: 'timestamp', source: '_event_time', nullable: false },
    ...features.map((name) => ({ name, type: fieldOf(view, name).type, source: name, nullable: true })),
  ];
}

function withinTtl({ view, alias }: ViewJoin, time: string, value: string): string {
  const { ttl } = view.spec;
  return ttl === 0 ? value : `CASE WHEN ${alias}._event_time >= ${time} - INTERVAL ${ttl} MILLISECOND THEN ${value} END`;
}

/** The escaping of joinEntityKey. */
function entityOf(view: View): string {
  return view.joinKeys.map((key) => String.raw`replace(replace(f.${quote(key)}::VARCHAR, '\', '\\'), '|', '\|')`).join(" || '|' || ");
}

function fileOf({ view }: ViewJoin): string {
  return `${view.name}.parquet`;
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
