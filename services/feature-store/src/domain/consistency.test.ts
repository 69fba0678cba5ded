import { describe, expect, it } from 'vitest';
import { viewOf } from '../../test/views.js';
import { findSkew, type Look } from './consistency.js';
import type { FieldStatus, OnlineValue } from './online-vector.js';

const view = viewOf({
  ttl: '1d',
  features: [
    { name: 'a', type: 'int64' },
    { name: 'b', type: 'string' },
  ],
});
const T = 1_000_000_000;
const row = (eventTimeMs: number, contentHash: number, a: number | null, b: string | null): Look['after'][number] => ({
  eventTimeMs,
  contentHash,
  values: [a, b],
});
const served = (eventTimeMs: number | undefined, a: number | null, b: string | null, status: FieldStatus = 'present'): OnlineValue[] =>
  [a, b].map((value) => ({ value, status, eventTimeMs }));
const nothing = served(undefined, null, null, 'not_found');
const kinds = (look: Partial<Look>): string[] =>
  findSkew(view, { served: nothing, servedAtMs: T + 10, before: undefined, after: [], ...look }).map(
    ({ feature, kind }) => `${feature} ${kind}`,
  );

describe('what was served against the offline store', () => {
  const newest = row(T, 7, 1, 'x');

  it.each<[string, Partial<Look>]>([
    ['the newest row', { served: served(T, 1, 'x'), before: newest, after: [newest] }],
    ['a row that came between the two looks', { served: served(T + 5, 2, 'y'), before: newest, after: [row(T + 5, 8, 2, 'y')] }],
    ['a tie that came between', { served: served(T, 2, 'y'), before: newest, after: [row(T, 8, 2, 'y'), newest] }],
    ['a null', { served: served(T, null, 'x', 'null_value'), before: row(T, 7, null, 'x'), after: [row(T, 7, null, 'x')] }],
    [
      'an expired row, hidden',
      { served: served(T, null, null, 'outside_max_age'), servedAtMs: T + 86_400_001, before: newest, after: [newest] },
    ],
    ['nothing, where nothing is', {}],
  ])('%s is right', (_name, look) => {
    expect(kinds(look)).toEqual([]);
  });

  it.each<[string, Partial<Look>, string[]]>([
    ['one value that differs', { served: served(T, 2, 'x'), before: newest, after: [newest] }, ['a mismatch']],
    ['an older tie', { served: served(T, 9, 'x'), before: newest, after: [newest, row(T, 3, 9, 'x')] }, ['a mismatch']],
    ['nothing, where a row is', { before: newest }, ['a missing', 'b missing']],
    ['an older row', { served: served(T - 1, 1, 'x'), before: newest, after: [row(T - 1, 7, 1, 'x')] }, ['a missing', 'b missing']],
    ['a row from nowhere', { served: served(T, 1, 'x') }, ['a extra', 'b extra']],
    [
      'an expired row, shown',
      { served: served(T, 1, 'x'), servedAtMs: T + 86_402_000, before: newest, after: [newest] },
      ['a extra', 'b extra'],
    ],
    [
      'a young row, hidden',
      { served: served(T, null, null, 'outside_max_age'), before: newest, after: [newest] },
      ['a missing', 'b missing'],
    ],
  ])('%s is found', (_name, look, found) => {
    expect(kinds(look)).toEqual(found);
  });
});
