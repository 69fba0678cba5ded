import { describe, expect, it } from 'vitest';
import { ShadowPair } from './shadow-pair.js';
import { ShadowBook, ShadowStatistics } from './shadow-statistics.js';

const scores = (...values: number[]): Float32Array => Float32Array.from(values);

describe('a shadow pair', () => {
  it.each([['primary first'], ['shadow first']])('compares labels and scores row by row, %s', (order) => {
    const statistics = new ShadowStatistics('p', 'm', 1, 2);
    const pair = new ShadowPair(statistics, '');
    const primary = (): void => pair.scored('primary', scores(9, 0.75, 0.25, 0.5), 1, 3, 0.5, 0.001);
    const shadow = (): void => pair.scored('shadow', scores(0.5, 0.25, 0.625), 0, 3, 0.6, 0.003);
    if (order === 'primary first') [primary, shadow].forEach((side) => side());
    else [shadow, primary].forEach((side) => side());
    // 0.75 is 1 by 0.5, 0.5 is 0 by 0.6; 0.25 is 0 for both; 0.5 is 1 by 0.5, 0.625 is 1 by 0.6.
    expect(statistics).toMatchObject({ requests: 1, rows: 3, agreed: 2, skipped: 0 });
    expect(statistics.difference).toMatchObject({ count: 3, sum: 0.25 + 0 + 0.125 });
    expect([statistics.primaryLatency.sum, statistics.shadowLatency.sum]).toEqual([0.001, 0.003]);
    expect(pair.isGone()).toBe(true);
  });

  it('counts a request that only one side answered, and compares nothing', () => {
    const statistics = new ShadowStatistics('p', 'm', 1, 2);
    const failing = new ShadowPair(statistics, '');
    failing.failed('shadow', 'INPUT_INVALID');
    failing.scored('primary', scores(1), 0, 1, 0.5, 0);
    const refused = new ShadowPair(statistics, '');
    refused.scored('shadow', scores(1), 0, 1, 0.5, 0);
    refused.failed('primary', 'CANCELLED');
    new ShadowPair(statistics, '').skip();
    expect(statistics).toMatchObject({ requests: 0, rows: 0, skipped: 2, failures: new Map([['INPUT_INVALID', 1]]) });
  });

  it('knows the trace of the request after its call is gone', () => {
    expect(new ShadowPair(new ShadowStatistics('p', 'm', 1, 2), 'trace').headerOf(0, 'traceparent')).toBe('trace');
  });
});

describe('the book of shadows', () => {
  it('keeps one comparison for each pair of versions, and of those the newest hundred', () => {
    const book = new ShadowBook();
    expect(book.of('p', 'm', 1, 2)).toBe(book.of('p', 'm', 1, 2));
    for (let shadow = 3; shadow <= 102; shadow++) book.of('p', 'm', 1, shadow);
    expect(book.list('p', 'm').map((one) => one.shadow)).toEqual(Array.from({ length: 100 }, (_, i) => i + 3));
    expect(book.list('q')).toEqual([]);
  });
});
