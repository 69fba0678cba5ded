import { AppError } from '@headrace/base/errors';
import { connect } from '@headrace/example-flights/connect';
import { fetchFlights } from '@headrace/example-flights/fetch-flights';
import { readFlights } from '@headrace/example-flights/flights';
import { checksOf, formatFlights, type FlightsReport } from '@headrace/example-flights/report';
import { runFlights } from '@headrace/example-flights/run';
import { Command } from 'commander';
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { preparePython } from '../cluster/prepare-python.js';
import { readRuntime, type Runtime } from '../cluster/runtime-file.js';
import { clientOptions } from '../cluster/site.js';
import { startCluster } from '../cluster/start-cluster.js';
import { loadConfig, type CliConfig } from '../config.js';
import { Progress } from '../terminal/progress.js';

/** The longest window reaches back so far before the first label. */
const WINDOW_DAYS = 7;
/** Flights after the present that are read, because time goes on while the example runs. */
const AHEAD_MINUTES = 300;
/** Predictions whose features are compared with a training set, at most. */
const COMPARED = 400;

interface Options {
  readonly days: string;
  readonly labelEvery?: string;
  readonly present: string;
  readonly file?: string;
}

export function flightsCommand(): Command {
  return new Command('flights')
    .description('run the flights example: sliding windows over an event stream, and a regression. Exit 0 only when every check holds')
    .option('--days <n>', 'days of flights to learn from; the windows before them take 7 more', '174')
    .option('--label-every <n>', 'one flight in so many is a label; unset = as many as make some 30,000 labels')
    .option('--present <time>', 'the moment of the data (January to June 2001) that is to be now', '2001-06-30T17:30Z')
    .option('--file <parquet>', 'the flights; unset = the 3 million of the npm package vega-datasets, fetched once')
    .action(async (options: Options) => {
      process.exitCode = await flights(loadConfig(), parse(options), new Progress());
    });
}

interface Wanted {
  readonly labelDays: number;
  readonly labelEvery: number | undefined;
  readonly presentMs: number;
  readonly file: string | undefined;
}

function parse({ days, labelEvery, present, file }: Options): Wanted {
  const wanted = {
    labelDays: Number(days),
    labelEvery: labelEvery === undefined ? undefined : Number(labelEvery),
    presentMs: Date.parse(present),
    file,
  };
  if (!(wanted.labelDays > 0)) throw new AppError('REQUEST_INVALID', `--days ${days} is not a number above 0`);
  if (wanted.labelEvery !== undefined && !(Number.isInteger(wanted.labelEvery) && wanted.labelEvery >= 1))
    throw new AppError('REQUEST_INVALID', `--label-every ${labelEvery} is not a whole number from 1`);
  if (Number.isNaN(wanted.presentMs))
    throw new AppError('REQUEST_INVALID', `--present ${present} is not a time, such as 2001-06-01T17:30Z`);
  if (file !== undefined && !existsSync(file)) throw new AppError('NOT_FOUND', `--file ${file} is not there`);
  return wanted;
}

/** On the platform that runs from this state folder, or on one of its own that ends with the example. @returns the exit code */
async function flights(config: CliConfig, wanted: Wanted, progress: Progress): Promise<number> {
  const stateDir = resolve(config.stateDir);
  const file = wanted.file ?? fetchFlights(join(stateDir, 'examples', 'flights'));
  const running = readRuntime(stateDir);
  if (running) return tell(await runOn(running, config, file, wanted, progress), stateDir);
  progress.line(`no platform runs from ${stateDir}; one is started for the example, and stopped after it`);
  const cluster = await startCluster(config, progress, () => preparePython(config.stateDir, progress));
  try {
    return tell(await Promise.race([runOn(cluster, config, file, wanted, progress), interrupted()]), stateDir);
  } finally {
    progress.line('stopping services and engines');
    await cluster.stop();
  }
}

async function runOn(
  { endpoints, kafkaBrokers }: Pick<Runtime, 'endpoints' | 'kafkaBrokers'>,
  config: CliConfig,
  file: string,
  { labelDays, labelEvery, presentMs }: Wanted,
  progress: Progress,
): Promise<FlightsReport> {
  const nowMs = Date.now();
  const flights = await readFlights(file, { presentMs, nowMs, days: labelDays + WINDOW_DAYS, aheadMinutes: AHEAD_MINUTES });
  progress.line(`${flights.length} flights read from ${file}`, Date.now() - nowMs);
  if (flights.length === 0) throw new AppError('REQUEST_INVALID', `${file} has no flights of those days; see --present`);
  const grpc = Object.fromEntries(Object.entries(endpoints).map(([name, doors]) => [name, doors.grpc])) as Parameters<
    typeof connect
  >[0]['grpc'];
  // A project of its own each time: flights of an earlier run were moved to another moment.
  const project = `flights-${nowMs.toString(36)}`;
  const { apiKey } = config;
  const { tls } = clientOptions(config);
  const site = connect({ project, kafkaBrokers, apiKey, grpc, tls, featuresUrl: endpoints['feature-store'].http });
  try {
    return await runFlights(site, flights, nowMs, { labelDays, labelEvery, compared: COMPARED }, progress);
  } finally {
    await site.close();
  }
}

function tell(report: FlightsReport, stateDir: string): number {
  const file = join(stateDir, 'flights-report.json');
  const checks = checksOf(report);
  writeFileSync(file, `${JSON.stringify({ ...report, checks }, null, 2)}\n`);
  process.stdout.write(`\n${formatFlights(report)}\n\n  report            ${file}\n`);
  return checks.every(({ passed }) => passed) ? 0 : 1;
}

function interrupted(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new AppError('CANCELLED', `interrupted by ${signal}`)));
  });
}
