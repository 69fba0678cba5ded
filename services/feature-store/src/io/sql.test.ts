import { expect, it } from 'vitest';
import { viewOf } from '../../test/views.js';
import { appendSql, newestRowsSql, straightSql } from './offline-store.js';
import { windowRowsSql } from '../domain/window-rows-sql.js';
import { createRowTableSql } from './row-tables.js';
import { historySql } from './value-history.js';

const view = viewOf({
  id: 7,
  joinKeys: ['carrier', 'origin'],
  features: [
    { name: 'delay', type: 'float64' },
    { name: 'gate-no', type: 'string' },
    { name: 'seen', type: 'timestamp' },
  ],
});

it('makes one table a view, with one covering unique index without texts', () => {
  expect(createRowTableSql(view.id, view.joinKeys, view.spec.features).join(';\n')).toMatchInlineSnapshot(`
    "CREATE TABLE view_rows_7 (
      _entity text COLLATE "C" NOT NULL,
      _key_0 text COLLATE "C" NOT NULL,
      _key_1 text COLLATE "C" NOT NULL,
      _event_time timestamptz NOT NULL,
      _content bigint NOT NULL,
      _first_ingest timestamptz NOT NULL,
      _last_ingest timestamptz NOT NULL,
      "delay" double precision,
      "gate-no" text,
      "seen" timestamptz
    ) PARTITION BY RANGE (_event_time);
    CREATE UNIQUE INDEX view_rows_7_key ON view_rows_7 (_entity, _event_time DESC, _content) INCLUDE (_first_ingest, _last_ingest, _key_0, _key_1, "delay", "seen")"
  `);
});

it('covers no more columns than an index can hold', () => {
  const fields = Array.from({ length: 100 }, (_, i) => viewOf({ features: [{ name: `f${i}`, type: 'float64' }] }).spec.features[0]!);
  const index = createRowTableSql(1, ['id'], fields)[1]!;
  expect(index.split('INCLUDE')[1]!.split(',').length + 3).toBe(32);
});

it('appends by a staging table, inserts what is new, then widens the arrivals of what is not', () => {
  expect(Object.values(appendSql(view)).join(';\n')).toMatchInlineSnapshot(`
    "CREATE TEMPORARY TABLE IF NOT EXISTS pg_temp.stage_7_v1 (_entity text COLLATE "C", _key_0 text, _key_1 text, _event_time timestamptz, _content bigint, _first_ingest timestamptz, _last_ingest timestamptz, "delay" double precision, "gate-no" text, "seen" timestamptz) ON COMMIT DELETE ROWS;
    COPY pg_temp.stage_7_v1 (_entity, _key_0, _key_1, _event_time, _content, _first_ingest, _last_ingest, "delay", "gate-no", "seen") FROM STDIN (FORMAT binary);
    INSERT INTO view_rows_7 (_entity, _key_0, _key_1, _event_time, _content, _first_ingest, _last_ingest, "delay", "gate-no", "seen")
    SELECT _entity, _key_0, _key_1, _event_time, _content, _first_ingest, _last_ingest, "delay", "gate-no", "seen" FROM pg_temp.stage_7_v1 ORDER BY _entity, _event_time DESC, _content
    ON CONFLICT (_entity, _event_time, _content) DO NOTHING;
    UPDATE view_rows_7 t
    SET _first_ingest = least(t._first_ingest, s._first_ingest), _last_ingest = greatest(t._last_ingest, s._last_ingest)
    FROM pg_temp.stage_7_v1 s
    WHERE t._entity = s._entity AND t._event_time = s._event_time AND t._content = s._content
      AND (s._first_ingest < t._first_ingest OR s._last_ingest > t._last_ingest)"
  `);
});

it('appends rows that are all new without a staging table', () => {
  expect(straightSql(view)).toMatchInlineSnapshot(
    `"COPY view_rows_7 (_entity, _key_0, _key_1, _event_time, _content, _first_ingest, _last_ingest, "delay", "gate-no", "seen") FROM STDIN (FORMAT binary)"`,
  );
});

it('reads the rows behind windows by one probe of the index for each stretch, as far as they were known', () => {
  const payment = viewOf({
    id: 7,
    features: [
      { name: 'amount', type: 'float64' },
      { name: 'seen', type: 'timestamp' },
    ],
    aggregations: [
      { function: 'sum', column: 'amount', windows: ['1h'] },
      { function: 'last', column: 'seen', windows: ['1h'] },
    ],
  });
  expect(windowRowsSql(payment, { kind: 'asOf', ms: Date.UTC(2016, 0, 1) })).toMatchInlineSnapshot(`
    "SELECT q.n, (extract(epoch FROM r._event_time) * 1000000)::bigint / 1000 AS event_ms, r._content AS content, r."amount" AS c0, (extract(epoch FROM r."seen") * 1000000)::bigint / 1000 AS c1
    FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS q(entity, from_time, to_time, n)
    JOIN view_rows_7 r ON r._entity = q.entity COLLATE "C" AND r._event_time >= q.from_time AND r._event_time < q.to_time AND r._first_ingest <= timestamptz '2016-01-01T00:00:00.000Z'
    ORDER BY q.n, r._event_time, r._content"
  `);
});

it('reads the newest row of each entity in the order of the online store', () => {
  expect(newestRowsSql(view)).toMatchInlineSnapshot(`
    "SELECT DISTINCT ON (_entity) _entity AS entity, (extract(epoch FROM _event_time) * 1000000)::bigint / 1000 AS event_ms, _content AS content,
      (extract(epoch FROM _first_ingest) * 1000000)::bigint AS first_us, (extract(epoch FROM _last_ingest) * 1000000)::bigint AS last_us,
      "delay" AS c0, "gate-no" AS c1, (extract(epoch FROM "seen") * 1000000)::bigint / 1000 AS c2
    FROM view_rows_7
    WHERE _entity > $1
    ORDER BY _entity, _event_time DESC, _last_ingest DESC, _content DESC
    LIMIT 100000"
  `);
});

it('reads the rows round a moment in the order of the join, so that the one that counts is the first', () => {
  const asOf = historySql(view, { untilMs: 0, knowledge: { kind: 'asOf', ms: 1 }, limit: 11 });
  expect(asOf.split('\n').slice(-4).join('\n')).toMatchInlineSnapshot(`
    "FROM view_rows_7
    WHERE _entity = $1 AND _event_time <= timestamptz '1970-01-01T00:00:00.000Z' AND _first_ingest <= timestamptz '1970-01-01T00:00:00.001Z'
    ORDER BY _event_time DESC, CASE WHEN _last_ingest <= timestamptz '1970-01-01T00:00:00.001Z' THEN _last_ingest ELSE _first_ingest END DESC, _content DESC
    LIMIT 11"
  `);
  const later = historySql(view, { afterMs: 0, knowledge: { kind: 'all' }, limit: 10 });
  expect(later.split('\n').slice(-3).join('\n')).toMatchInlineSnapshot(`
    "WHERE _entity = $1 AND _event_time > timestamptz '1970-01-01T00:00:00.000Z'
    ORDER BY _event_time ASC, _last_ingest ASC, _content ASC
    LIMIT 10"
  `);
});
