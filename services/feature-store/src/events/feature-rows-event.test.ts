import { FeatureRowsPublished } from '@headrace/contracts/events/v1/events';
import { expect, it } from 'vitest';
import { featureRowsEvent, rowAsEvent } from './feature-rows-event.js';

const { message } = featureRowsEvent;
const rowOf = (row: unknown): unknown => {
  const { original: _original, ...rest } = message.fromJSON({ view: 'v', rows: [row] }).rows[0]!;
  return rest;
};
const good = { entity: { id: '1' }, eventTime: '2016-01-01T00:00:00Z', values: { a: 1 } };

it('reads the documented JSON as protobuf reads its bytes', () => {
  const event = {
    project: 'default',
    view: 'v',
    rows: [{ entity: { id: '1' }, eventTime: new Date('2016-01-01T00:00:00Z'), values: { a: 1, b: null, c: 'x' } }],
  };
  const json = message.fromJSON(JSON.parse(JSON.stringify(event)));
  expect({ ...json, rows: json.rows.map(({ original: _original, ...row }) => row) }).toEqual(event);
  const { rows, ...frame } = message.decode(FeatureRowsPublished.encode(event).finish());
  expect({ ...frame, rows: rows.map(({ entity, eventTime, values }) => ({ entity, eventTime, values })) }).toEqual(event);
});

it('takes whole numbers for keys and offsets for times', () => {
  expect(rowOf({ ...good, entity: { id: 42 }, eventTime: '2016-01-01T02:00:00.5+02:00' })).toEqual({
    entity: { id: '42' },
    eventTime: new Date('2016-01-01T00:00:00.500Z'),
    values: { a: 1 },
  });
  expect(rowOf({ entity: {}, event_time: '2016-01-01T00:00:00Z', values: {} })).toEqual({
    entity: {},
    eventTime: new Date('2016-01-01T00:00:00Z'),
    values: {},
  });
});

it.each([
  ['null as a key', { entity: { id: null } }, { entity: { id: null } }],
  ['a list as a key', { entity: { id: ['1'] } }, { entity: { id: ['1'] } }],
  ['a fraction as a key', { entity: { id: 1.5 } }, { entity: { id: 1.5 } }],
  ['a numeric time', { eventTime: 1451606400000 }, { eventTime: new Date(Number.NaN) }],
  ['a time without a zone', { eventTime: '2016-01-01T00:00:00' }, { eventTime: new Date(Number.NaN) }],
  ['a date only', { eventTime: '2016-01-01' }, { eventTime: new Date(Number.NaN) }],
  ['values that are a list', { values: [1] }, { values: undefined }],
  ['an entity that is a text', { entity: '1' }, { entity: {} }],
])('leaves %s to validation instead of guessing', (_name, patch, expected) => {
  expect(rowOf({ ...good, ...patch })).toMatchObject(expected);
});

it('keeps a refused row as it was sent', () => {
  const odd = { entity: { id: null }, eventTime: 5, values: 'x', extra: true };
  const [row] = message.fromJSON({ view: 'v', rows: [odd] }).rows;
  expect(JSON.parse(rowAsEvent('default', 'v', row!).toString())).toEqual({ project: 'default', view: 'v', rows: [odd] });
  expect(
    JSON.parse(rowAsEvent('default', 'v', { entity: { id: '1' }, eventTime: new Date(Number.NaN), values: { a: 1 } }).toString()).rows,
  ).toEqual([{ entity: { id: '1' }, values: { a: 1 } }]);
});

it.each([
  ['a project that is no text', { project: 1, view: 'v', rows: [] }],
  ['a view that is no text', { view: {}, rows: [] }],
  ['rows that are no list', { view: 'v', rows: {} }],
])('refuses an event with %s', (_name, json) => {
  expect(() => message.fromJSON(json)).toThrow(/must be a/);
});
