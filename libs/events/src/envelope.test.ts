import { AppError } from '@headrace/base/errors';
import { describe, expect, it } from 'vitest';
import { CATALOG, deadLetterTopic, featureRowsPublished, outcomesObserved } from './catalog.js';
import { fromRecord, toRecord } from './envelope.js';

describe('envelope', () => {
  const event = {
    project: 'default',
    view: 'person',
    rows: [{ entity: { person_id: '42' }, eventTime: new Date('2016-01-01T00:00:00Z'), values: { AGEP: 46, name: 'é', none: null } }],
  };

  it('brings an event through Kafka bytes unchanged, with its chain of causes', () => {
    const record = toRecord(featureRowsPublished, event, {
      id: 'e1',
      source: 'test',
      timeMs: 1000,
      traceparent: '00-1-2-01',
      causationId: 'c',
      correlationId: 'k',
    });
    const back = fromRecord(featureRowsPublished, record.value, record.headers, 'fallback');
    expect(back.event).toEqual(event);
    expect(back).toMatchObject({
      id: 'e1',
      source: 'test',
      project: 'default',
      traceparent: '00-1-2-01',
      causationId: 'c',
      correlationId: 'k',
      timeMs: 1000,
    });
    expect(record.key).toBe('default/person/42');
  });

  it('accepts the documented JSON, with or without a content type', () => {
    const json = Buffer.from(
      '{"project":"default","view":"person","rows":[{"entity":{"person_id":"42"},"eventTime":"2016-01-01T00:00:00Z","values":{"AGEP":46,"name":"é","none":null}}]}',
    );
    expect(fromRecord(featureRowsPublished, json, {}, 'f').event).toEqual(event);
    expect(fromRecord(featureRowsPublished, json, { 'content-type': 'application/json; charset=utf-8' }, 'f').event).toEqual(event);
    const outcome = Buffer.from('{"project":"default","outcomes":[{"predictionId":"p","label":1,"observedAt":"2016-01-01T00:00:00Z"}]}');
    expect(fromRecord(outcomesObserved, outcome, {}, 'f').event.outcomes[0]).toEqual({
      predictionId: 'p',
      label: 1,
      observedAt: new Date('2016-01-01T00:00:00Z'),
    });
  });

  it.each([
    ['broken JSON', '{"project":', 'application/json'],
    ['a JSON array', '[1]', 'application/json'],
    ['truncated protobuf', '\n\x10abc', 'application/protobuf'],
    ['an unknown content type', 'x', 'text/csv'],
  ])('refuses %s with EVENT_MALFORMED', (_name, body, contentType) => {
    const act = (): unknown => fromRecord(featureRowsPublished, Buffer.from(body, 'latin1'), { 'content-type': contentType }, 'f');
    expect(act).toThrow(AppError);
    expect(act).toThrow(expect.objectContaining({ code: 'EVENT_MALFORMED' }));
  });

  it('gives each event its own type and topic, and each topic a dead-letter twin', () => {
    expect(new Set(CATALOG.map((e) => e.type)).size).toBe(CATALOG.length);
    expect(new Set(CATALOG.map((e) => e.topic)).size).toBe(CATALOG.length);
    expect(deadLetterTopic('headrace.features.v1')).toBe('headrace.features.v1.dead');
  });
});
