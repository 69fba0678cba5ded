import { connect } from '@headrace/example-flights/connect';
import { fetchFlights, readFlights } from '@headrace/example-flights/flights';
import { checksOf, formatFlights } from '@headrace/example-flights/report';
import { runFlights } from '@headrace/example-flights/run';
import { Command } from 'commander';
import { join, resolve } from 'node:path';
import { runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';
import { Progress } from '../terminal/progress.js';

/** A week for the longest window, and before it the days of the labels. */
const WINDOW_DAYS = 7;

export function flightsCommand(): Command {
  return new Command('flights')
    .description('run the flights example (sliding windows) on the running platform; exit 0 only when every check holds')
    .option('--label-days <n>', 'days of flights to learn from', '2')
    .option('--label-every <n>', 'one flight in so many is a label', '2')
    .action(async ({ labelDays, labelEvery }: { labelDays: string; labelEvery: string }) => {
      const config = loadConfig();
      const { endpoints, kafkaBrokers } = runningSite(config);
      const progress = new Progress();
      const file = fetchFlights(join(resolve(config.stateDir), 'examples', 'flights'));
      const nowMs = Date.now();
      const days = Number(labelDays);
      const flights = await readFlights(file, { days: days + WINDOW_DAYS, aheadMinutes: 30 }, nowMs);
      progress.line(`${flights.length} flights read from ${file}`);
      const grpc = Object.fromEntries(Object.entries(endpoints).map(([name, doors]) => [name, doors.grpc])) as Parameters<
        typeof connect
      >[0]['grpc'];
      const project = `flights-${nowMs.toString(36)}`;
      const site = connect({ project, kafkaBrokers, apiKey: config.apiKey, grpc, featuresUrl: endpoints['feature-store'].http });
      try {
        const options = { labelDays: days, labelEvery: Number(labelEvery), compared: 200 };
        const report = await runFlights(site, flights, nowMs, options, (line) => progress.line(line));
        process.stdout.write(`\n${formatFlights(report)}\n`);
        if (checksOf(report).some(({ passed }) => !passed)) process.exitCode = 1;
      } finally {
        await site.close();
      }
    });
}
