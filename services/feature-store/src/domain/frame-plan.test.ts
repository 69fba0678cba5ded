import { describe, expect, it } from 'vitest';
import { viewOf } from '../../test/views.js';
import { planFrame, type FrameColumn, type FrameRequest } from './frame-plan.js';
import type { View } from './view.js';

const views: Record<string, View> = {
  flight: viewOf({ name: 'flight', id: 4, joinKeys: ['carrier', 'origin'], ttl: '1d', features: [{ name: 'delay', type: 'float64' }] }),
  airport: viewOf({ name: 'airport', id: 5, joinKeys: ['origin'], features: [{ name: 'wind-speed', type: 'float64' }] }),
};
const find = (name: string): View => views[name]!;
const frame: FrameColumn[] = [
  { name: 'origin', type: 'string' },
  { name: 'at', type: 'timestamp' },
  { name: 'carrier', type: 'int64' },
  { name: 'late', type: 'bool' },
];
const request: FrameRequest = { features: ['flight:delay', 'airport:wind-speed'], timeColumn: 'at', knowledge: { kind: 'all' } };

describe('the plan of an entity frame', () => {
  it('prints the frame sorted once, then one probe for each view', () => {
    const plan = planFrame(frame, request, find);
    expect([plan.create, plan.copy, plan.sql].join(';\n')).toMatchInlineSnapshot(`
      "CREATE TEMPORARY TABLE frame (_row bigint, _time timestamptz, _e0 text COLLATE "C", _e1 text COLLATE "C", f0 text, f2 bigint, f3 boolean) ON COMMIT DROP;
      COPY frame FROM STDIN (FORMAT binary);
      SELECT s._e0, s.f0, s._time, s.f2, s.f3, v0."delay" AS c0, v1."wind-speed" AS c1
      FROM (SELECT * FROM frame ORDER BY _e0, _time, _row) s
      LEFT JOIN LATERAL (
        SELECT r."delay"
        FROM view_rows_4 r
        WHERE r._entity = s._e0 AND r._event_time <= s._time AND r._event_time >= s._time - interval '86400000 milliseconds'
        ORDER BY r._event_time DESC, r._last_ingest DESC, r._content DESC
        LIMIT 1
      ) v0 ON true
      LEFT JOIN LATERAL (
        SELECT r."wind-speed"
        FROM view_rows_5 r
        WHERE r._entity = s._e1 AND r._event_time <= s._time
        ORDER BY r._event_time DESC, r._last_ingest DESC, r._content DESC
        LIMIT 1
      ) v1 ON true
      ORDER BY s._e0, s._time, s._row"
    `);
    expect(plan.keys).toEqual([[2, 0], [0]]);
    expect(plan.columns.map(({ name, type, nullable }) => `${name} ${type}${nullable ? '?' : ''}`)).toEqual([
      'origin string?',
      'at timestamp',
      'carrier int64?',
      'late bool?',
      'flight__delay float64?',
      'airport__wind-speed float64?',
    ]);
    expect(plan.viewHashes).toEqual({ flight: 'hash-of-flight', airport: 'hash-of-airport' });
  });

  it('sees only what had arrived by the time of each row, or by one moment', () => {
    const sqlOf = (knowledge: FrameRequest['knowledge']): string => planFrame(frame, { ...request, knowledge }, find).sql;
    expect(sqlOf({ kind: 'rowTime' }).match(/_first_ingest <= s\._time/g)).toHaveLength(2);
    expect(sqlOf({ kind: 'asOf', ms: 0 }).match(/_first_ingest <= timestamptz '1970-01-01T00:00:00.000Z'/g)).toHaveLength(2);
  });

  it.each<[string, FrameColumn[], Partial<FrameRequest>, string]>([
    ['without its time', frame, { timeColumn: 'when' }, 'no time column when'],
    ['with a time that is none', frame, { timeColumn: 'origin' }, 'holds string'],
    ['without a join key', frame.slice(1), {}, 'keyed by carrier, origin'],
    ['with fractions as a key', [{ name: 'origin', type: 'float64' }, ...frame.slice(1)], {}, 'a join key must be'],
    ['with the name of a feature', [...frame, { name: 'flight__delay', type: 'int64' }], {}, 'two columns flight__delay'],
  ])('refuses a frame %s', (_name, columns, change, message) => {
    expect(() => planFrame(columns, { ...request, ...change }, find)).toThrow(message);
  });
});
