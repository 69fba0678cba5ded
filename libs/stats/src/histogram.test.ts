import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectClose } from '../golden/read-golden.js';
import { cellOf, ColumnSketch, referenceCounts, sketchLayout } from './histogram.js';
import { parseProfile, profileRows, type CategoricalProfile, type NumericProfile } from './profile.js';

const age: NumericProfile = {
  name: 'AGEP',
  kind: 'numeric',
  edges: [18, 30, 45, 65],
  counts: [10, 20, 30, 25, 15],
  nulls: 3,
  mean: 44.5,
  std: 17.25,
  min: 1,
  max: 96,
};
const school: CategoricalProfile = { name: 'SCHL', kind: 'categorical', categories: ['16', '21', '22'], counts: [50, 30, 20], nulls: 0 };

describe('parseProfile', () => {
  it('accepts what the trainer writes', () => {
    expect(parseProfile(JSON.parse(JSON.stringify(age)))).toEqual(age);
    expect(parseProfile(JSON.parse(JSON.stringify(school)))).toEqual(school);
    expect(profileRows(age)).toBe(100);
  });

  it('accepts a column of nothing but nulls, whose moments JSON cannot hold', () => {
    const profile = parseProfile({
      name: 'x',
      kind: 'numeric',
      edges: [],
      counts: [0],
      nulls: 9,
      mean: null,
      std: null,
      min: null,
      max: null,
    });
    expect(profile).toMatchObject({ mean: NaN, nulls: 9 });
  });

  it.each([
    [null, 'is not an object'],
    [{ kind: 'numeric' }, '`name` must be'],
    [{ ...age, kind: 'text' }, 'AGEP: `kind` must be'],
    [{ ...age, edges: [1, 2, 2, 3] }, 'edges[2] = 2 does not'],
    [{ ...age, edges: Array.from({ length: 128 }, (_, i) => i) }, '128 entries, the limit is 127'],
    [{ ...age, counts: [1, 2, 3] }, '`counts` has 3 entries, edges.length + 1 = 5 are needed'],
    [{ ...age, counts: [1, 2, 3, -4, 5] }, '`counts[3]` must be a whole number'],
    [{ ...age, mean: null }, '`mean` must be a finite number, got null'],
    [{ ...age, min: 100 }, '`min` is above `max`'],
    [{ ...age, std: -1 }, '`std` must not be negative'],
    [{ ...age, nulls: undefined }, '`nulls` must be a finite number, got nothing'],
    [{ ...school, categories: ['16', '16', '22'] }, '`categories` has a duplicate'],
    [{ ...school, categories: [16, 21, 22] }, '`categories` must be an array of strings'],
    [{ ...school, counts: [1] }, 'categories.length = 3 are needed'],
  ])('refuses %j and says what is wrong', (raw, reason) => {
    expect(() => parseProfile(raw)).toThrow(
      expect.objectContaining({ name: 'AppError', code: 'REQUEST_INVALID', message: expect.stringContaining(reason) }),
    );
  });
});

it('counts a value on an edge in the cell below it', () => {
  const edges = Float64Array.from(age.edges);
  expect([-5, 18, 18.1, 30, 65, 65.1].map((value) => cellOf(edges, value))).toEqual([0, 0, 1, 1, 3, 4]);
});

const values = fc.array(
  fc.oneof(
    fc.integer({ min: -10, max: 120 }),
    fc.double({ noNaN: true, min: -1e3, max: 1e3 }),
    fc.constantFrom(null, undefined, NaN, Infinity, '7'),
  ),
  { maxLength: 80 },
);
const names = fc.array(
  fc.oneof(fc.constantFrom('16', '21', '22', null, undefined), fc.integer({ min: 16, max: 40 }), fc.string({ maxLength: 3 })),
  { maxLength: 80 },
);

function sketchOf(profile: NumericProfile | CategoricalProfile, rows: readonly unknown[]): ColumnSketch {
  const sketch = new ColumnSketch(sketchLayout(profile));
  for (const value of rows) sketch.add(value);
  return sketch;
}

function expectSame(actual: ColumnSketch, expected: ColumnSketch): void {
  expect(Array.from(actual.counts)).toEqual(Array.from(expected.counts));
  expect([actual.nulls, actual.invalid, actual.min, actual.max, actual.unseen]).toEqual([
    expected.nulls,
    expected.invalid,
    expected.min,
    expected.max,
    expected.unseen,
  ]);
  if (expected.count > 0 && expected.layout.kind === 'numeric') {
    expectClose(actual.mean, expected.mean, 1e-9);
    expectClose(actual.std, expected.std, 1e-6);
  }
}

it.each([
  ['numeric', age, values],
  ['categorical', school, names],
] as const)('merges %s panes in any grouping and order to what one pass counts', (_, profile, rows) => {
  fc.assert(
    fc.property(fc.tuple(rows, rows, rows), ([a, b, c]) => {
      const whole = sketchOf(profile, [...a, ...b, ...c]);
      expectSame(sketchOf(profile, a).merge(sketchOf(profile, b)).merge(sketchOf(profile, c)), whole);
      expectSame(sketchOf(profile, c).merge(sketchOf(profile, b).merge(sketchOf(profile, a))), whole);
      expectSame(ColumnSketch.fromJSON(whole.layout, JSON.parse(JSON.stringify(whole))), whole);
      expect(whole.count + whole.nulls + whole.invalid).toBe(a.length + b.length + c.length);
    }),
    { seed: 31, numRuns: 200 },
  );
});

it('counts whole arrays as it counts one by one', () => {
  const array = Float64Array.from([1, 18, 20, NaN, 1e9, -Infinity, 64.99]);
  const sketch = new ColumnSketch(sketchLayout(age));
  sketch.addAll(array);
  expectSame(sketch, sketchOf(age, [...array]));
});

it('keeps mean and deviation of a timestamp column, whose squares alone would drown them', () => {
  const start = 1_750_000_000_000;
  const rows = Array.from({ length: 1000 }, (_, i) => start + (i % 7));
  const profile: NumericProfile = {
    name: 'ts',
    kind: 'numeric',
    edges: [start],
    counts: [1, 1],
    nulls: 0,
    mean: start + 3,
    std: 2,
    min: start,
    max: start + 6,
  };
  const sketch = sketchOf(profile, rows);
  const mean = rows.reduce((sum, row) => sum + (row - start), 0) / rows.length;
  expectClose(sketch.mean - start, mean, 1e-3);
  expectClose(sketch.std, Math.sqrt(rows.reduce((sum, row) => sum + (row - start - mean) ** 2, 0) / rows.length), 1e-9);
});

it('names at most eight unseen categories, however many come, and counts them all in one cell', () => {
  const sketch = sketchOf(
    school,
    Array.from({ length: 500 }, (_, i) => `new-${i}`),
  );
  expect(sketch.counts.at(-1)).toBe(500);
  expect(sketch.unseen).toHaveLength(8);
  expect(sketch.unseen[0]).toBe('new-0');
  expect(referenceCounts(school)).toHaveLength(sketch.counts.length);
});

it('refuses a stored window of another reference profile', () => {
  const stored = sketchOf(age, [1, 2]).toJSON();
  const changed = sketchLayout({ ...age, edges: [18, 30, 45, 66] });
  expect(() => ColumnSketch.fromJSON(changed, stored)).toThrow(/another reference profile/);
  expect(() => ColumnSketch.fromJSON(sketchLayout(age), { ...stored, c: [5, 1] })).toThrow(/names cell 5 of 5/);
});
