import { encodeFeatureRows, FeatureRowsDecoder } from '@headrace/codec/feature-rows';
import { ProtoWriter } from '@headrace/codec/writer';
import { seededRandom } from '@headrace/base/random';
import { expect, it } from 'vitest';
import { viewOf } from '../../test/views.js';
import { isFault, readRow, type IncomingRow } from './feature-row.js';

const views = [
  viewOf({
    joinKeys: ['person_id', 'region'],
    features: [
      { name: 'age', type: 'int64', min: 0, max: 120 },
      { name: 'count', type: 'int64' },
      { name: 'income', type: 'float64' },
      { name: 'city', type: 'string' },
      { name: 'member', type: 'bool' },
      { name: 'since', type: 'timestamp' },
      { name: 'code', type: 'int64', nullable: false },
    ],
  }),
  viewOf({
    joinKeys: ['region'],
    features: [
      { name: 'age', type: 'int64' },
      { name: 'count', type: 'float64' },
    ],
  }),
];
const limits = { futureSkewMs: 300_000, stringLengthMax: 10 };
const ARRIVED_MS = Date.UTC(2026, 0, 1);
const random = seededRandom(31);
const oneOf = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;

/** Mostly right for the first view. */
function randomRow(): IncomingRow {
  const wrong = random() < 0.3;
  const values: Record<string, unknown> = {
    age: wrong ? oneOf([121, '46', 1.5, true, Number.NaN]) : oneOf([46, 0, -0, null]),
    count: wrong ? oneOf([2 ** 53, -Infinity, [], {}]) : oneOf([7, -3, -0]),
    income: wrong ? oneOf([Number.NaN, 'x']) : oneOf([1.5, -0, null]),
    city: wrong ? oneOf(['x'.repeat(11), '\0']) : oneOf(['Nîmes', '', null]),
    member: wrong ? oneOf([true, 1]) : oneOf([true, false]),
    since: wrong ? oneOf([1e12, 'no']) : oneOf([1e12, '2016-01-01T00:00:00Z']),
    code: oneOf([1, 2, 3, wrong ? null : 4]),
    ...(random() < 0.1 ? { height: 1 } : {}),
  };
  const kept = Object.entries(values).filter(() => random() < 0.95);
  const entity = {
    person_id: wrong ? oneOf(['42', '', 'x'.repeat(257)]) : oneOf(['42', 'M|A']),
    region: oneOf(['MA', '|', 'é']),
    ...(random() < 0.05 ? { x: '1' } : {}),
  };
  return {
    entity: random() < 0.1 ? { region: 'MA' } : entity,
    eventTime:
      random() < 0.8
        ? new Date('2016-01-01T00:00:00.007Z')
        : oneOf([new Date(0), undefined, new Date('2030-01-01T00:00:00Z'), new Date('1800-01-01T00:00:00Z')]),
    values: random() < 0.05 ? undefined : Object.fromEntries(random() < 0.9 ? kept : kept.toReversed()),
  };
}

/** Of several unknown names either may be named: their order is not kept. */
function anyUnknown(read: ReturnType<typeof readRow>): unknown {
  return isFault(read) ? { ...read, reason: read.reason.replace(/^"\w+" is no feature/, 'one is no feature') } : read;
}

it('judges a row of the hot codec exactly as the same row as an object (seeded)', () => {
  const decoder = new FeatureRowsDecoder();
  const writer = new ProtoWriter();
  const seen = { good: 0, bad: 0 };
  for (let i = 0; i < 1500; i++) {
    const rows = Array.from({ length: 5 }, randomRow);
    encodeFeatureRows({ project: '', view: 'v', rows: rows as never }, writer.reset());
    const decoded = decoder.decode(writer.finish()).rows;
    for (const view of views) {
      for (const [k, row] of rows.entries()) {
        const slow = readRow(view, row, ARRIVED_MS, limits);
        expect(anyUnknown(readRow(view, decoded[k]!, ARRIVED_MS, limits))).toEqual(anyUnknown(slow));
        if (isFault(slow)) seen.bad++;
        else seen.good++;
      }
    }
  }
  expect(Math.min(seen.good, seen.bad)).toBeGreaterThan(300);
});
