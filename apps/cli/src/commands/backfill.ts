import { AppError } from '@headrace/base/errors';
import { newId } from '@headrace/base/ids';
import { BackfillsDefinition, Destination, type Backfill, type StartBackfillRequest } from '@headrace/contracts/features/v1/features';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';
import { formatTable } from '../terminal/table.js';

interface StartOptions {
  readonly project: string;
  readonly file?: string;
  readonly source?: string;
  readonly query?: string;
  readonly to: string;
  readonly rate: string;
  readonly eventTime: string;
  readonly requestId?: string;
}

/** Rows from files and from other databases, as jobs of the feature store. */
export function backfillCommand(): Command {
  const command = new Command('backfill').description('rows from a file or from a query, as a job that survives crashes');
  command
    .command('start')
    .description('start one; prints its id')
    .argument('<view>')
    .option('--project <name>', 'project', 'default')
    .option('--file <path>', 'a .csv or .parquet file in the folder HEADRACE_FEATURES_BACKFILL_FOLDER')
    .option('--source <name>', 'a source of HEADRACE_FEATURES_BACKFILL_SOURCES, with --query')
    .option('--query <sql>', 'what to read from the source')
    .option('--to <stores>', 'both, online or offline', 'both')
    .option('--rate <rows>', 'most rows in a second; 0 = as fast as it goes', '0')
    .option('--event-time <column>', 'column of event times', 'event_time')
    .option('--request-id <id>', 'the same id is the same job')
    .action(async (view: string, options: StartOptions) => {
      const request = startRequest(view, options);
      await ask(async (client) => process.stdout.write(`${(await client.startBackfill(request)).id}\n`));
    });
  command
    .command('list')
    .description('backfills of a project, the newest first')
    .option('--project <name>', 'project', 'default')
    .action(({ project }: { project: string }) => ask(async (client) => print((await client.listBackfills({ project })).backfills)));
  for (const [name, description] of [
    ['status', 'how far it has come'],
    ['cancel', 'stop it; what is stored stays'],
  ] as const)
    command
      .command(name)
      .description(description)
      .argument('<id>')
      .option('--project <name>', 'project', 'default')
      .action((id: string, { project }: { project: string }) =>
        ask(async (client) =>
          print([await (name === 'status' ? client.getBackfill({ project, id }) : client.cancelBackfill({ project, id }))]),
        ),
      );
  return command;
}

const DESTINATIONS: Readonly<Record<string, Destination>> = {
  both: Destination.BOTH,
  online: Destination.ONLINE,
  offline: Destination.OFFLINE,
};

function startRequest(view: string, { project, file, source, query, to, rate, eventTime, requestId }: StartOptions): StartBackfillRequest {
  const destination = DESTINATIONS[to];
  if (!destination) throw new AppError('REQUEST_INVALID', `--to ${to}: send both, online or offline`);
  const rowsPerSecond = Number(rate);
  if (!Number.isSafeInteger(rowsPerSecond) || rowsPerSecond < 0) throw new AppError('REQUEST_INVALID', `--rate ${rate} is no whole number`);
  if ((file === undefined) === (source === undefined)) throw new AppError('REQUEST_INVALID', 'name either --file or --source with --query');
  const from: StartBackfillRequest['source'] =
    file === undefined ? { $case: 'postgres', value: { source: source!, query: query ?? '' } } : { $case: 'file', value: { path: file } };
  return { project, view, source: from, to: destination, rowsPerSecond, eventTimeColumn: eventTime, requestId: requestId ?? newId() };
}

async function ask(work: (client: Client<typeof BackfillsDefinition>) => Promise<unknown>): Promise<void> {
  const config = loadConfig();
  const client = createClient(BackfillsDefinition, runningSite(config).endpoints['feature-store'].grpc, clientOptions(config));
  try {
    await work(client);
  } finally {
    client.close();
  }
}

function print(backfills: readonly Backfill[]): void {
  const table = formatTable(
    ['backfill', 'view', 'state', 'rows', 'of', 'refused', 'source', 'reason'],
    backfills.map((b) => [
      b.id,
      b.view,
      b.state.replace('BACKFILL_STATE_', '').toLowerCase(),
      b.rowsDone,
      b.rowsTotal,
      b.rowsRefused,
      b.source.slice(0, 60),
      b.reason,
    ]),
  );
  process.stdout.write(`${table}\n`);
}
