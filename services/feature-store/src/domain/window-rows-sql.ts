import { quoteName, rowTable } from './identifier.js';
import { known, type Knowledge } from './point-in-time-probe.js';
import type { Field, View } from './view.js';

/** $1 entities, $2 from (included), $3 to (excluded): one probe of the view's index for each range. */
export function windowRowsSql(view: View, knowledge: Knowledge): string {
  const columns = view.windows!.columns.map((name, i) => `, ${columnSql(view, name)} AS c${i}`);
  return [
    `SELECT q.n, (extract(epoch FROM r._event_time) * 1000000)::bigint / 1000 AS event_ms, r._content AS content${columns.join('')}`,
    'FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS q(entity, from_time, to_time, n)',
    `JOIN ${rowTable(view.id)} r ON r._entity = q.entity COLLATE "C" AND r._event_time >= q.from_time AND r._event_time < q.to_time${known('r.', knowledge)}`,
    'ORDER BY q.n, r._event_time, r._content',
  ].join('\n');
}

/** $1 since, $2 behind which entity. */
export function windowEntitiesSql(view: View): string {
  return `SELECT DISTINCT _entity AS entity FROM ${rowTable(view.id)} WHERE _event_time >= $1::timestamptz AND _entity > $2 ORDER BY _entity`;
}

function columnSql(view: View, name: string): string {
  const column = `r.${quoteName(name)}`;
  const { type }: Field = view.spec.features[view.fieldIndex.get(name)!]!;
  if (type === 'timestamp') return `(extract(epoch FROM ${column}) * 1000000)::bigint / 1000`;
  // Of a list only its presence is counted.
  if (type === 'embedding') return `CASE WHEN ${column} IS NOT NULL THEN true END`;
  return column;
}
