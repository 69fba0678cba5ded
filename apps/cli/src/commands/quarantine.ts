import { AppError } from '@headrace/base/errors';
import { QuarantineDefinition, type QuarantinedRow } from '@headrace/contracts/features/v1/quarantine';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';
import { formatTable } from '../terminal/table.js';

interface Options {
  readonly project: string;
  readonly json?: boolean;
}

/** Rows that the feature store refused. */
export function quarantineCommand(): Command {
  const command = new Command('quarantine').description('rows that were refused: which, why, and once more after a fix');
  command
    .command('list')
    .description('how many of which fault, and the newest rows')
    .argument('[view]', 'only of this view', '')
    .option('--limit <count>', 'most rows', '20')
    .option('--before <id>', 'go on behind this row', '0')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action((view: string, { project, limit, before, json }: Options & { limit: string; before: string }) =>
      ask(async (client) => {
        const asked = { project, view, limit: wholeNumber(limit), before: wholeNumber(before) };
        const { counts, rows } = await client.listQuarantine(asked);
        if (json) return JSON.stringify({ counts, rows });
        const faults = formatTable(
          ['view', 'code', 'feature', 'rows'],
          counts.filter((count) => view === '' || count.view === view).map((count) => [count.view, count.code, count.feature, count.rows]),
        );
        const newest = formatTable(
          ['id', 'view', 'from', 'row', 'reason'],
          rows.map((row) => [row.id, row.view, row.origin, row.position, row.reason]),
        );
        return `${faults}\n\n${newest}`;
      }),
    );
  command
    .command('show')
    .description('one row with all that is known of it; personal values are masked')
    .argument('<id>')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action((id: string, { project, json }: Options) =>
      ask(async (client) => {
        const row = await client.getQuarantinedRow({ project, id: wholeNumber(id) });
        return json ? JSON.stringify(row) : describe(row);
      }),
    );
  command
    .command('replay')
    .description('send rows again after a fix; they keep their first arrival. All rows of the view without ids')
    .argument('<view>')
    .argument('[ids...]')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action((view: string, ids: string[], { project, json }: Options) =>
      ask(async (client) => {
        const replayed = await client.replayQuarantine({ project, view, ids: ids.map(wholeNumber) });
        return json ? JSON.stringify(replayed) : `${replayed.accepted} accepted, ${replayed.refused} refused again`;
      }),
    );
  return command;
}

function describe({ id, view, code, reason, origin, position, row, arrivedAt, quarantinedAt }: QuarantinedRow): string {
  return [
    `row ${id} of ${view}: ${reason} (${code})`,
    `from ${origin}, row ${position}; arrived ${arrivedAt!.toISOString()}, refused ${quarantinedAt!.toISOString()}`,
    JSON.stringify(row, null, 2),
  ].join('\n');
}

async function ask(work: (client: Client<typeof QuarantineDefinition>) => Promise<string>): Promise<void> {
  const config = loadConfig();
  const client = createClient(QuarantineDefinition, runningSite(config).endpoints['feature-store'].grpc, clientOptions(config));
  try {
    process.stdout.write(`${await work(client)}\n`);
  } finally {
    client.close();
  }
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0)
    throw new AppError('REQUEST_INVALID', `${JSON.stringify(text)} is no whole number`);
  return value;
}
