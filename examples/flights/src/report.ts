import type { Comparison } from './compare-served.js';
import type { Predicted } from './predict-flights.js';

export interface FlightsReport {
  readonly project: string;
  readonly flights: number;
  readonly rows: number;
  readonly publishSeconds: number;
  readonly labels: number;
  readonly trainingSetHash: string;
  readonly version: number;
  readonly gates: readonly string[];
  readonly baseRate: number;
  readonly predicted: Predicted;
  readonly comparison: Comparison;
}

/** Every condition under which the example counts as passed, in words, with its verdict. */
export function checksOf({ predicted, comparison }: FlightsReport): { name: string; passed: boolean }[] {
  return [
    { name: 'no prediction lost', passed: predicted.lost === 0 && predicted.answered > 0 },
    { name: 'better than the base rate', passed: predicted.rmse < predicted.rmseOfBaseRate },
    { name: 'served equals recomputed, bit by bit', passed: comparison.mismatches === 0 && comparison.values > comparison.moved },
  ];
}

export function formatFlights(report: FlightsReport): string {
  const { predicted, comparison } = report;
  const lines: [string, string][] = [
    ['rows', `${report.rows} of ${report.flights} flights in ${report.publishSeconds.toFixed(1)} s`],
    ['training set', `${report.labels} labels, sha256 ${report.trainingSetHash}`],
    ['version', `${report.version}, gates ${report.gates.join(', ')}`],
    ['predictions', `${predicted.answered} answered, ${predicted.lost} lost${predicted.failures.map((f) => `; ${f}`).join('')}`],
    [
      'RMSE',
      `${predicted.rmse.toFixed(4)} of the probability to be late, ${predicted.rmseOfBaseRate.toFixed(4)} by the base rate ${report.baseRate.toFixed(3)}`,
    ],
    ['AUC', predicted.auc.toFixed(3)],
    [
      'online = offline',
      `${comparison.mismatches} mismatches in ${comparison.values} served values (${comparison.moved} moved on while they were read)`,
    ],
    ...comparison.examples.map((example): [string, string] => ['', example]),
    ...checksOf(report).map(({ name, passed }): [string, string] => [passed ? 'ok' : 'FAILED', name]),
  ];
  return lines.map(([name, text]) => `  ${name.padEnd(18)}${text}`).join('\n');
}
