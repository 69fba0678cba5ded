import { describe, expect, it } from 'vitest';
import { planPointInTime, type TrainingSetRequest } from './point-in-time-plan.js';
import { viewOf } from '../../test/views.js';
import type { View } from './view.js';

const views: Record<string, View> = {
  person: viewOf({
    name: 'person',
    id: 1,
    joinKeys: ['person_id'],
    features: [
      { name: 'AGEP', type: 'int64' },
      { name: 'city', type: 'string' },
    ],
  }),
  recent: viewOf({ name: 'recent', id: 3, joinKeys: ['person_id'], ttl: '1d', features: [{ name: 'seen-at', type: 'timestamp' }] }),
  employment: viewOf({
    name: 'employment',
    id: 2,
    joinKeys: ['person_id'],
    online: false,
    features: [{ name: 'employed', type: 'int64' }],
  }),
  flight: viewOf({ name: 'flight', id: 4, joinKeys: ['carrier', 'origin'], features: [{ name: 'delay', type: 'float64' }] }),
  airport: viewOf({ name: 'airport', id: 5, joinKeys: ['origin'], features: [{ name: 'wind', type: 'float64' }] }),
  route: viewOf({ name: 'route', id: 6, joinKeys: ['origin', 'carrier'], features: [{ name: 'x', type: 'bool' }] }),
};
const find = (name: string): View => views[name]!;
const request: TrainingSetRequest = {
  project: 'default',
  labelView: 'employment',
  labelFeature: 'employed',
  features: ['person:AGEP', 'recent:seen-at', 'person:city'],
  fromMs: Date.UTC(2015, 0, 1),
  toMs: Date.UTC(2016, 0, 1),
  asOfMs: undefined,
};

describe('the point-in-time plan', () => {
  it('prints one statement that is complete in itself', () => {
    expect(planPointInTime(request, find).sql).toMatchInlineSnapshot(`
      "WITH spine AS (
        SELECT * FROM (
          SELECT DISTINCT ON (_entity, _event_time) _entity, _event_time, "employed" AS label
          FROM view_rows_2
          WHERE _event_time >= timestamptz '2015-01-01T00:00:00.000Z' AND _event_time < timestamptz '2016-01-01T00:00:00.000Z'
          ORDER BY _entity, _event_time, _last_ingest DESC, _content DESC
        ) newest WHERE label IS NOT NULL
      )
      SELECT s._entity, s._event_time, v0."AGEP" AS c0, v1."seen-at" AS c1, v0."city" AS c2, s.label
      FROM spine s
      LEFT JOIN LATERAL (
        SELECT r."AGEP", r."city"
        FROM view_rows_1 r
        WHERE r._entity = s._entity AND r._event_time <= s._event_time
        ORDER BY r._event_time DESC, r._last_ingest DESC, r._content DESC
        LIMIT 1
      ) v0 ON true
      LEFT JOIN LATERAL (
        SELECT r."seen-at"
        FROM view_rows_3 r
        WHERE r._entity = s._entity AND r._event_time <= s._event_time AND r._event_time >= s._event_time - interval '86400000 milliseconds'
        ORDER BY r._event_time DESC, r._last_ingest DESC, r._content DESC
        LIMIT 1
      ) v1 ON true
      ORDER BY s._entity, s._event_time"
    `);
  });

  it('sees only what had arrived by the knowledge time', () => {
    expect(planPointInTime({ ...request, features: ['person:AGEP'], asOfMs: Date.UTC(2016, 5, 1) }, find).sql).toMatchInlineSnapshot(`
      "WITH spine AS (
        SELECT * FROM (
          SELECT DISTINCT ON (_entity, _event_time) _entity, _event_time, "employed" AS label
          FROM view_rows_2
          WHERE _event_time >= timestamptz '2015-01-01T00:00:00.000Z' AND _event_time < timestamptz '2016-01-01T00:00:00.000Z' AND _first_ingest <= timestamptz '2016-06-01T00:00:00.000Z'
          ORDER BY _entity, _event_time, CASE WHEN _last_ingest <= timestamptz '2016-06-01T00:00:00.000Z' THEN _last_ingest ELSE _first_ingest END DESC, _content DESC
        ) newest WHERE label IS NOT NULL
      )
      SELECT s._entity, s._event_time, v0."AGEP" AS c0, s.label
      FROM spine s
      LEFT JOIN LATERAL (
        SELECT r."AGEP"
        FROM view_rows_1 r
        WHERE r._entity = s._entity AND r._event_time <= s._event_time AND r._first_ingest <= timestamptz '2016-06-01T00:00:00.000Z'
        ORDER BY r._event_time DESC, CASE WHEN r._last_ingest <= timestamptz '2016-06-01T00:00:00.000Z' THEN r._last_ingest ELSE r._first_ingest END DESC, r._content DESC
        LIMIT 1
      ) v0 ON true
      ORDER BY s._entity, s._event_time"
    `);
  });

  it('joins views by the keys that they share with the label', () => {
    const { sql, columns } = planPointInTime(
      { ...request, labelView: 'flight', labelFeature: 'delay', features: ['airport:wind', 'route:x'] },
      find,
    );
    expect(sql).toMatchInlineSnapshot(`
      "WITH spine AS (
        SELECT * FROM (
          SELECT DISTINCT ON (_entity, _event_time) _entity, _key_0, _key_1, _event_time, "delay" AS label
          FROM view_rows_4
          WHERE _event_time >= timestamptz '2015-01-01T00:00:00.000Z' AND _event_time < timestamptz '2016-01-01T00:00:00.000Z'
          ORDER BY _entity, _event_time, _last_ingest DESC, _content DESC
        ) newest WHERE label IS NOT NULL
      )
      SELECT s._entity, s._key_0, s._key_1, s._event_time, v0."wind" AS c0, v1."x" AS c1, s.label
      FROM spine s
      LEFT JOIN LATERAL (
        SELECT r."wind"
        FROM view_rows_5 r
        WHERE r._entity = replace(replace(s._key_1, E'\\\\', E'\\\\\\\\'), '|', E'\\\\|') AND r._event_time <= s._event_time
        ORDER BY r._event_time DESC, r._last_ingest DESC, r._content DESC
        LIMIT 1
      ) v0 ON true
      LEFT JOIN LATERAL (
        SELECT r."x"
        FROM view_rows_6 r
        WHERE r._entity = replace(replace(s._key_1, E'\\\\', E'\\\\\\\\'), '|', E'\\\\|') || '|' || replace(replace(s._key_0, E'\\\\', E'\\\\\\\\'), '|', E'\\\\|') AND r._event_time <= s._event_time
        ORDER BY r._event_time DESC, r._last_ingest DESC, r._content DESC
        LIMIT 1
      ) v1 ON true
      ORDER BY s._entity, s._event_time"
    `);
    expect(columns.map((c) => `${c.name} ${c.type} ${c.source}`)).toEqual([
      'carrier string _key_0',
      'origin string _key_1',
      'event_time timestamp _event_time',
      'airport__wind float64 c0',
      'route__x bool c1',
      'label float64 label',
    ]);
  });

  it('names columns by view and feature in the order asked, and hashes of the views it read', () => {
    const { columns, viewHashes } = planPointInTime(request, find);
    expect(columns.map((c) => c.name)).toEqual(['person_id', 'event_time', 'person__AGEP', 'recent__seen-at', 'person__city', 'label']);
    expect(viewHashes).toEqual({ employment: 'hash-of-employment', person: 'hash-of-person', recent: 'hash-of-recent' });
  });

  it.each<[string, Partial<TrainingSetRequest>, RegExp]>([
    ['an unknown feature', { features: ['person:height'] }, /view person has no feature height; it has AGEP, city/],
    ['an unknown label', { labelFeature: 'x' }, /view employment has no feature x/],
    ['a feature asked twice', { features: ['person:AGEP', 'person:AGEP'] }, /two columns person__AGEP/],
    [
      'a view of other keys',
      { features: ['airport:wind'] },
      /view airport is keyed by origin, but label view employment only has person_id/,
    ],
  ])('refuses %s', (_name, patch, message) => {
    expect(() => planPointInTime({ ...request, ...patch }, find)).toThrow(
      expect.objectContaining({ code: 'REQUEST_INVALID', message: expect.stringMatching(message) }),
    );
  });
});
