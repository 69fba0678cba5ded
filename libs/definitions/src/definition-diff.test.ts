import { describe, expect, it } from 'vitest';
import { diffSpecs } from './definition-diff.js';

const lines = (before: unknown, after: unknown): string[] => diffSpecs(before, after).map((d) => `${d.path}: ${d.before} -> ${d.after}`);
const spec = (features: unknown[], more: object = {}): object => ({ ttl: 0, features, ...more });
const [age, city] = [
  { name: 'age', type: 'int64', min: 0 },
  { name: 'city', type: 'string' },
];

describe('the difference of two specs', () => {
  it('names what was added, changed and removed, down to the field', () => {
    expect(
      lines(
        spec([age, city]),
        spec(
          [
            { ...age, min: 1 },
            { name: 'new', type: 'bool' },
          ],
          { ttl: 5, owner: 'me' },
        ),
      ),
    ).toEqual([
      'ttl: 0 -> 5',
      'features.age.min: 0 -> 1',
      'features.city: {"name":"city","type":"string"} -> ',
      'features.new:  -> {"name":"new","type":"bool"}',
      'owner:  -> "me"',
    ]);
  });

  it('is empty for equal specs, whatever the order of keys', () => {
    expect(lines({ a: 1, b: [age] }, { b: [{ min: 0, type: 'int64', name: 'age' }], a: 1 })).toEqual([]);
  });

  it('tells another order of named members, and shows plain lists whole', () => {
    expect(lines(spec([age, city]), spec([city, age]))).toEqual(['features: ["age","city"] -> ["city","age"]']);
    expect(lines({ tags: ['a'] }, { tags: ['a', 'b'] })).toEqual(['tags: ["a"] -> ["a","b"]']);
  });
});
