import type { Comparison } from './compare-served.js';
import type { Errors, Excess } from './predict-flights.js';

export interface FlightsReport {
  readonly project: string;
  /** Of the data, and how far back its flights go. */
  readonly present: string;
  readonly flights: number;
  readonly rows: number;
  readonly publishSeconds: number;
  readonly labels: number;
  readonly trainingSetHash: string;
  readonly version: number;
  readonly onnxSha256: string;
  /** The sentences of the blessing. */
  readonly gates: readonly string[];
  /** On the holdout, by the training runtime. */
  readonly holdout: Readonly<Record<string, number>>;
  readonly answered: number;
  readonly lost: number;
  readonly failures: readonly string[];
  /** Flights that nobody had seen: those about to leave. */
  readonly live: {
    readonly model: Errors;
    readonly meanLabel: Errors;
    readonly originWeek: Errors;
    readonly originHour: Errors;
    /** Of the model over the mean delay. */
    readonly excess: Excess;
  };
  readonly comparison: Comparison;
  /** What the monitor made of the late outcomes: how often "15 minutes late or more" was right; and our own count. */
  readonly monitor: { readonly labelled: number; readonly accuracy: number; readonly ownAccuracy: number };
  readonly seconds: Readonly<Record<string, number>>;
}

/** Standard errors; half an hour may have few flights. */
const CHANCE = 2;

export interface Check {
  readonly name: string;
  readonly passed: boolean;
}

/** Every condition under which the example counts as passed, in words, with its verdict. */
export function checksOf({ answered, lost, live, comparison, holdout, monitor }: FlightsReport): Check[] {
  const { mismatches, values, moved } = comparison;
  return [
    { name: `no prediction lost: ${answered} answered, ${lost} lost`, passed: lost === 0 && answered > 0 },
    {
      name: `served features equal the training set's of the same moment: ${mismatches} mismatches in ${values} values`,
      passed: mismatches === 0 && values > moved,
    },
    {
      name: `on the holdout better than last week's mean of the origin: RMSE ${minutes(holdout.rmse)} against ${minutes(holdout.naive_rmse)}`,
      passed: holdout.rmse! < holdout.naive_rmse!,
    },
    {
      name: `on flights about to leave not worse than the mean delay, beyond chance: RMSE ${minutes(live.model.rmse)} against ${minutes(live.meanLabel.rmse)}`,
      passed: live.excess.mean <= CHANCE * live.excess.standardError,
    },
    {
      name: `the monitor counts late flights as the caller does: ${share(monitor.accuracy)} against ${share(monitor.ownAccuracy)} of ${monitor.labelled}`,
      passed: monitor.labelled === answered && Math.abs(monitor.accuracy - monitor.ownAccuracy) < 1e-9,
    },
  ];
}

export function formatFlights(report: FlightsReport): string {
  const { holdout, live, comparison } = report;
  const table = (name: string, { mae, rmse }: Errors): string =>
    `  ${name.padEnd(44)}${minutes(mae).padStart(10)}${minutes(rmse).padStart(10)}`;
  const fields: [string, string][] = [
    ['project', report.project],
    [
      'stream',
      `${report.flights} flights, ${report.rows} rows in both stores after ${report.publishSeconds.toFixed(1)} s (${Math.round(report.rows / report.publishSeconds)} rows/s)`,
    ],
    ['training set', `${report.labels} labels, sha256 ${report.trainingSetHash}`],
    ['version', `${report.version}, ONNX sha256 ${report.onnxSha256}`],
    ...report.gates.map((sentence): [string, string] => ['', sentence]),
    ['predictions', `${report.answered} answered, ${report.lost} lost${report.failures.map((failure) => `; ${failure}`).join('')}`],
    [
      'online = offline',
      `${comparison.mismatches} mismatches in ${comparison.values} values (${comparison.missing} missing on both sides; ${comparison.moved} moved on meanwhile)`,
    ],
    ...comparison.examples.map((example): [string, string] => ['', example]),
  ];
  const checks = checksOf(report);
  return [
    checks.every(({ passed }) => passed) ? 'THE FLIGHTS EXAMPLE PASSED' : 'THE FLIGHTS EXAMPLE FAILED',
    '',
    `  ${'minutes of arrival delay'.padEnd(44)}${'MAE'.padStart(10)}${'RMSE'.padStart(10)}`,
    table('holdout: model', { mae: holdout.mae!, rmse: holdout.rmse! }),
    table("holdout: the origin's mean of the last week", { mae: holdout.naive_mae!, rmse: holdout.naive_rmse! }),
    table('about to leave: model', live.model),
    table('about to leave: mean delay of the labels', live.meanLabel),
    table("about to leave: the origin's mean of a week", live.originWeek),
    table("about to leave: the origin's mean of an hour", live.originHour),
    '',
    ...fields.map(([name, text]) => `  ${name.padEnd(18)}${text}`),
    '',
    '  checks',
    ...checks.map(({ name, passed }) => `    ${(passed ? 'ok' : 'FAILED').padEnd(8)}${name}`),
    '',
    '  seconds',
    ...Object.entries(report.seconds).map(([step, seconds]) => `    ${seconds.toFixed(1).padStart(6)}  ${step}`),
  ].join('\n');
}

const minutes = (value: number | undefined): string => (value ?? Number.NaN).toFixed(2);
const share = (value: number): string => `${(100 * value).toFixed(1)} %`;
