import { seededRandom } from '@headrace/base/random';
import { FieldStatus, GetOnlineFeaturesResponse, type OnlineVector } from '@headrace/contracts/features/v1/features';
import { describe, expect, it } from 'vitest';
import { compileBlobSchema, encodeBlob, type BlobField, type FeatureValue } from './feature-blob.js';
import { compileColumns, encodeNames, NOT_FOUND, OUTSIDE_MAX_AGE, PRESENT, writeOnlineVector, type FoundRow } from './online-features.js';
import { ProtoWriter } from './writer.js';

const pick = <T>(random: () => number, items: readonly T[]): T => items[Math.floor(random() * items.length)]!;

it('names of a feature service are what the generated code writes', () => {
  const names = ['age', 'é', 'x'.repeat(300)];
  expect(Buffer.from(encodeNames(names)).equals(GetOnlineFeaturesResponse.encode({ vectors: [], names }).finish())).toBe(true);
});

describe('a vector', () => {
  const fields: BlobField[] = [
    { name: 'count', type: 'int64' },
    { name: 'amount', type: 'float64' },
    { name: 'city', type: 'string' },
    { name: 'member', type: 'bool' },
    { name: 'seen', type: 'timestamp' },
  ];
  const layout = compileBlobSchema(fields);
  const VALUES: readonly (readonly FeatureValue[])[] = [
    [0, -1, 2 ** 53 - 1, null],
    [0, 0.1, -1e300, null],
    ['', 'é', 'x'.repeat(300), null],
    [true, false, null],
    [0, 1_451_606_400_123, null],
  ];

  it('is what the generated code writes of the same values', () => {
    const random = seededRandom(5);
    for (let n = 0; n < 500; n++) {
      const views = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
        const status = pick(random, [PRESENT, PRESENT, NOT_FOUND, OUTSIDE_MAX_AGE] as const);
        const values = VALUES.map((of) => pick(random, of));
        const eventTimeMs = status === NOT_FOUND ? 0 : pick(random, [1, 999, 1_451_606_400_000, 1_451_606_400_123, -2_208_988_800_000]);
        return { status, values, eventTimeMs };
      });
      const wanted = Array.from({ length: 1 + Math.floor(random() * 70) }, () => ({
        view: Math.floor(random() * views.length),
        feature: Math.floor(random() * 6) - 1,
      }));
      const found = views.map(({ status, values, eventTimeMs }, v): FoundRow => {
        const blob = encodeBlob(layout, values, { eventTimeMs, ingestTimeMs: 0, tieBreak: 0 });
        const indices = Int32Array.from(wanted, (one) => (one.view === v ? one.feature : -1));
        return { status, eventTimeMs, columns: status === PRESENT ? compileColumns(layout, indices) : undefined, blob };
      });
      const counts = new Uint32Array(5);
      const writer = new ProtoWriter(16);
      writeOnlineVector(
        Int32Array.from(wanted, (one) => one.view),
        found,
        writer,
        counts,
      );
      const value = ({ view, feature }: (typeof wanted)[number]): FeatureValue =>
        views[view]!.status === PRESENT && feature >= 0 ? views[view]!.values[feature]! : null;
      const NAMES = [, FieldStatus.PRESENT, FieldStatus.NULL_VALUE, FieldStatus.NOT_FOUND, FieldStatus.OUTSIDE_MAX_AGE];
      const expected: OnlineVector = {
        values: wanted.map(value),
        statuses: wanted.map((one) =>
          views[one.view]!.status === PRESENT && value(one) === null ? FieldStatus.NULL_VALUE : NAMES[views[one.view]!.status]!,
        ),
        eventTimes: wanted.map(({ view }) => new Date(views[view]!.eventTimeMs)),
      };
      const bytes = writer.bytes.subarray(0, writer.pos);
      expect(GetOnlineFeaturesResponse.decode(bytes).vectors).toEqual([expected]);
      if (views.every((view) => view.eventTimeMs >= 0))
        expect(bytes.equals(GetOnlineFeaturesResponse.encode({ vectors: [expected], names: [] }).finish())).toBe(true);
      expect(counts.reduce((sum, count) => sum + count)).toBe(wanted.length);
    }
  });
});
