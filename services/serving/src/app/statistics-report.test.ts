import { Siblings } from '@headrace/platform/processes/siblings';
import { describe, expect, it } from 'vitest';
import { StatisticsBook, type ModelStatistics } from '../domain/model-statistics.js';
import { ShadowBook } from '../domain/shadow-statistics.js';
import { addStatistics, StatisticsReport } from './statistics-report.js';

type Fact = (book: StatisticsBook, shadows: ShadowBook) => void;

const report = (facts: readonly Fact[]): Promise<Awaited<ReturnType<StatisticsReport['of']>>> => {
  const [book, shadows] = [new StatisticsBook(), new ShadowBook()];
  for (const fact of facts) fact(book, shadows);
  return new StatisticsReport(book, shadows, new Siblings(-1)).of('', '');
};
const answer = { scores: Float32Array.of(0.25, 0.75), threshold: 0.5, seconds: 0.001 };
function answeredIn(seconds: number, statistics: ModelStatistics, rows: number, nowMs: number): void {
  statistics.answered(rows, nowMs);
  statistics.latency.observe(seconds);
}

const here: Fact[] = [
  (book) => answeredIn(0.002, book.of('p', 'm', 1), 2, 5_000),
  (book) => book.of('p', 'm', 1).failed('OVERLOADED', 0),
  (book) => book.of('p', 'm', 2).ran(4, 0.001),
  (_, shadows) => shadows.of('p', 'm', 1, 2).compared(answer, answer),
];
const there: Fact[] = [
  (book) => answeredIn(0.3, book.of('p', 'm', 1), 1, 9_000),
  (book) => book.of('p', 'm', 1).failed('OVERLOADED', 0),
  (book) => book.of('p', 'm', 1).failed('INPUT_INVALID', 0),
  (book) => answeredIn(0.3, book.of('p', 'n', 1), 1, 9_000),
  (_, shadows) => shadows.of('p', 'm', 1, 2).compared(answer, { ...answer, threshold: 0.9 }),
];

describe('statistics of several processes', () => {
  it('add up to what one process would have counted', async () => {
    const sum = addStatistics(await report(here), await report(there));
    expect(sum).toEqual(await report([...here, ...there]));
    expect(sum.versions[0]).toMatchObject({
      requests: 2,
      rows: 3,
      failures: { OVERLOADED: 2, INPUT_INVALID: 1 },
      lastAnsweredAt: new Date(9_000),
    });
    expect(sum.shadows[0]).toMatchObject({ requests: 2, rows: 4, agreed: 3 });
  });
});
