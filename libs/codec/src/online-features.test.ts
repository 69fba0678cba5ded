import { seededRandom } from '@headrace/base/random';
import {
  FieldStatus,
  GetOnlineFeaturesRequest,
  GetOnlineFeaturesResponse,
  type OnlineVector,
} from '@headrace/contracts/features/v1/features';
import { describe, expect, it } from 'vitest';
import { compileBlobSchema, encodeBlob, type BlobField, type FeatureValue } from './feature-blob.js';
import { NOT_FOUND, OnlineRequestReader, OUTSIDE_MAX_AGE, PRESENT, writeOnlineVector, type FoundRow } from './online-features.js';
import { ProtoWriter } from './writer.js';

const pick = <T>(random: () => number, items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
const text = (random: () => number): string => pick(random, ['', 'a', 'person_id', 'é|\\', '😀', 'x'.repeat(200)]);

describe('a request', () => {
  const reader = new OnlineRequestReader();

  function read(bytes: Uint8Array, names: readonly string[]) {
    const { project, features } = reader.start(Buffer.from(bytes), 0, bytes.length);
    const entities: (string | undefined)[][] = [];
    const values: (string | undefined)[] = new Array<undefined>(names.length).fill(undefined);
    let outcome = reader.entity(names, values);
    for (; outcome === 'read'; outcome = reader.entity(names, values)) entities.push([...values]);
    return { project, features, entities, outcome };
  }

  it('is read as the generated code writes it, whatever was read before', () => {
    const random = seededRandom(3);
    for (let n = 0; n < 500; n++) {
      const features = Array.from({ length: Math.floor(random() * 5) }, () => `${text(random)}:f`);
      const names = ['person_id', 'region'];
      const entities = Array.from({ length: Math.floor(random() * 4) }, () => ({
        keys: Object.fromEntries([...names, 'other'].filter(() => random() < 0.8).map((name) => [name, text(random)])),
      }));
      const project = text(random);
      const bytes = GetOnlineFeaturesRequest.encode(GetOnlineFeaturesRequest.fromPartial({ project, features, entities })).finish();
      const expected = entities.map(({ keys }) => names.map((name) => (keys as Record<string, string>)[name]));
      expect(read(bytes, names)).toEqual({ project, features, entities: expected, outcome: 'end' });
    }
  });

  it('that asks the same is the same object, so that its plan is found at once', () => {
    const bytes = (id: string) =>
      Buffer.from(
        GetOnlineFeaturesRequest.encode(
          GetOnlineFeaturesRequest.fromPartial({
            project: 'p',
            features: ['v:a'],
            entities: [{ keys: { id } }],
          }),
        ).finish(),
      );
    const [one, other] = [bytes('1'), bytes('22')];
    expect(reader.start(other, 0, other.length)).toBe(reader.start(one, 0, one.length));
  });

  it('whose entities do not come last is left to the generated code', () => {
    const parts = [{ entities: [{ keys: { id: '1' } }] }, { features: ['v:a'] }];
    const bytes = Buffer.concat(parts.map((part) => GetOnlineFeaturesRequest.encode(GetOnlineFeaturesRequest.fromPartial(part)).finish()));
    expect(read(bytes, ['id']).outcome).toBe('unusual');
  });

  it('of broken bytes is refused', () => {
    const good = GetOnlineFeaturesRequest.encode(
      GetOnlineFeaturesRequest.fromPartial({ features: ['v:a'], entities: [{ keys: { id: '1' } }] }),
    ).finish();
    for (let end = 1; end < good.length; end++) {
      // A cut between two fields is a whole message.
      const isWhole = end === 5;
      if (!isWhole) expect(() => read(good.slice(0, end), ['id']), `cut at ${end}`).toThrow(/protobuf/);
    }
  });
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
        return { status, eventTimeMs, layout: status === PRESENT ? layout : undefined, blob, indices };
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
