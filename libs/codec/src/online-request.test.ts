import { seededRandom } from '@headrace/base/random';
import { GetOnlineFeaturesRequest } from '@headrace/contracts/features/v1/features';
import { describe, expect, it } from 'vitest';
import { OnlineRequestReader } from './online-request.js';

const pick = <T>(random: () => number, items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
const text = (random: () => number): string => pick(random, ['', 'a', 'person_id', 'é|\\', '😀', 'x'.repeat(200)]);

describe('a request', () => {
  const reader = new OnlineRequestReader();

  function read(bytes: Uint8Array, names: readonly string[]) {
    const { project, features, featureService } = reader.start(Buffer.from(bytes), 0, bytes.length);
    const entities: (string | undefined)[][] = [];
    const values: (string | undefined)[] = new Array<undefined>(names.length).fill(undefined);
    let outcome = reader.entity(names, values);
    for (; outcome === 'read'; outcome = reader.entity(names, values)) entities.push([...values]);
    return { project, features, featureService, entities, outcome };
  }

  it('is read as the generated code writes it, whatever was read before', () => {
    const random = seededRandom(3);
    for (let n = 0; n < 500; n++) {
      const features = Array.from({ length: Math.floor(random() * 5) }, () => `${text(random)}:f`);
      const featureService = features.length === 0 ? pick(random, ['', 'scoring']) : '';
      const names = ['person_id', 'region'];
      const entities = Array.from({ length: Math.floor(random() * 4) }, () => ({
        keys: Object.fromEntries([...names, 'other'].filter(() => random() < 0.8).map((name) => [name, text(random)])),
      }));
      const project = text(random);
      const bytes = GetOnlineFeaturesRequest.encode(
        GetOnlineFeaturesRequest.fromPartial({ project, features, featureService, entities }),
      ).finish();
      const expected = entities.map(({ keys }) => names.map((name) => (keys as Record<string, string>)[name]));
      expect(read(bytes, names)).toEqual({ project, features, featureService, entities: expected, outcome: 'end' });
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

  it('of features and a service at once is left to the generated code', () => {
    const both = GetOnlineFeaturesRequest.fromPartial({ features: ['v:a'], featureService: 's', entities: [{ keys: { id: '1' } }] });
    expect(read(GetOnlineFeaturesRequest.encode(both).finish(), ['id']).outcome).toBe('unusual');
  });

  it('whose entities do not come last is left to the generated code', () => {
    const entity = { entities: [{ keys: { id: '1' } }] };
    for (const parts of [
      [entity, { features: ['v:a'] }],
      [entity, { featureService: 's' }, entity],
      [entity, { featureService: 's' }, { featureService: 't' }],
    ]) {
      const bytes = Buffer.concat(
        parts.map((part) => GetOnlineFeaturesRequest.encode(GetOnlineFeaturesRequest.fromPartial(part)).finish()),
      );
      expect(read(bytes, ['id']).outcome).toBe('unusual');
    }
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
