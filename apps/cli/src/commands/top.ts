import { AppError } from '@headrace/base/errors';
import { ServingAdminDefinition, type VersionStatistics } from '@headrace/contracts/serving/v1/serving';
import { createClient } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';
import { formatServingTable, type Reading } from '../terminal/serving-table.js';

/** Back to the upper left corner, and nothing below it. */
const CLEAR = '\u001b[H\u001b[J';

export function topCommand(): Command {
  return new Command('top')
    .description('what serving does, by model and version: totals once, or again and again with rates')
    .argument('[model]', 'only of this model', '')
    .option('--every <seconds>', 'read again after this time, until Ctrl-C')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action(async (model: string, { every, project, json }: { every?: string; project: string; json?: boolean }) => {
      const config = loadConfig();
      const everyMs = every === undefined ? undefined : secondsOf(every) * 1000;
      const client = createClient(ServingAdminDefinition, runningSite(config).endpoints.serving.grpc, clientOptions(config));
      try {
        let before: Reading | undefined;
        for (;;) {
          const { versions } = await client.getStatistics({ project, model });
          const now: Reading = { atMs: Date.now(), versions };
          process.stdout.write(`${everyMs === undefined ? '' : CLEAR}${json ? toJson(versions) : formatServingTable(now, before)}\n`);
          if (everyMs === undefined) return;
          before = now;
          await sleep(everyMs);
        }
      } finally {
        client.close();
      }
    });
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (seconds >= 0.1 && seconds <= 3600) return seconds;
  throw new AppError('REQUEST_INVALID', `--every ${text} is no number of seconds from 0.1 to 3600`);
}

function toJson(versions: readonly VersionStatistics[]): string {
  return JSON.stringify(versions, null, 2);
}
