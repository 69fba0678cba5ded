import { describe, expect, it } from 'vitest';
import { ModelStatistics, StatisticsBook } from './model-statistics.js';

describe('statistics of a version', () => {
  it('count answers, refusals by code, and runs by their exact number of rows', () => {
    const statistics = new ModelStatistics('p', 'm', 1);
    statistics.answered(3, 1_000);
    statistics.answered(1, 2_000);
    statistics.failed('OVERLOADED', 0);
    statistics.failed('OVERLOADED', 0.5);
    statistics.ran(4, 0.01);
    statistics.ran(4, 0.02);
    statistics.ran(300, 0.1);
    expect(statistics).toMatchObject({ requests: 2, rows: 4, lastAnsweredAtMs: 2_000, failedSeconds: 0.5 });
    expect([...statistics.failures]).toEqual([['OVERLOADED', 2]]);
    expect([statistics.runsOfRows[4], statistics.secondsOfRows[4], statistics.runsOfRows[300]]).toEqual([2, 0.03, 1]);
    expect(statistics.batchRows).toMatchObject({ count: 3, sum: 308 });
  });
});

describe('statistics book', () => {
  it('goes on counting for a version that comes back, and keeps projects apart', () => {
    const book = new StatisticsBook();
    const one = book.of('a', 'm', 1);
    expect(book.of('a', 'm', 1)).toBe(one);
    expect(book.of('b', 'm', 1)).not.toBe(one);
    expect(book.list('a')).toEqual([one]);
    expect(book.list('', 'm')).toHaveLength(2);
  });

  it('forgets the version that answered longest ago when it is full', () => {
    const book = new StatisticsBook(2);
    book.of('p', 'm', 1).answered(1, 200);
    book.of('p', 'm', 2).answered(1, 100);
    book.of('p', 'm', 3);
    expect(book.list().map((one) => one.version)).toEqual([1, 3]);
  });
});
