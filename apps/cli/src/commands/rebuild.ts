import { setTimeout as sleep } from 'node:timers/promises';
import { FeatureStoreDefinition } from '@headrace/contracts/features/v1/features';
import { FeatureHealthDefinition, type OnlineRebuild } from '@headrace/contracts/features/v1/health';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';
import { formatTable } from '../terminal/table.js';

/** Longer than any rebuild should take; one that is cut off goes on with --resume. */
const TIMEOUT_MS = 6 * 3_600_000;
const PROGRESS_MS = 1_000;

interface Options {
  readonly project: string;
  readonly resume?: boolean;
  readonly status?: boolean;
}

/** The online store from Postgres, while rows flow in. */
export function rebuildCommand(): Command {
  const command = new Command('rebuild').description('make a store anew from what it is made of');
  command
    .command('online')
    .description('the online store from the history in Postgres; rows may flow in meanwhile')
    .argument('[view]', 'one view; all online ones when left out', '')
    .option('--resume', 'go on with one that was left in the middle')
    .option('--status', 'tell how far the newest ones are, and do nothing')
    .option('--project <name>', 'project', 'default')
    .action(rebuild);
  return command;
}

async function rebuild(view: string, { project, resume = false, status }: Options): Promise<void> {
  const config = loadConfig();
  const address = runningSite(config).endpoints['feature-store'].grpc;
  const client = createClient(FeatureStoreDefinition, address, { ...clientOptions(config), defaultTimeoutMs: TIMEOUT_MS });
  const health = createClient(FeatureHealthDefinition, address, clientOptions(config));
  try {
    if (status) {
      const { rebuilds } = await health.listRebuilds({ project });
      process.stdout.write(formatTable(['view', 'state', 'entities', 'of', 'entities/s', 'began'], rebuilds.map(line)));
      return;
    }
    const ended = new AbortController();
    const following = process.stderr.isTTY ? follow(health, project, ended.signal) : Promise.resolve();
    const { views } = await client.rebuildOnline({ project, view, resume }).finally(() => ended.abort());
    await following;
    for (const { view: name, entities, seconds } of views)
      process.stdout.write(`${name}: ${entities} entities in ${seconds.toFixed(1)} s, ${perSecond(entities, seconds)} entities/s\n`);
  } finally {
    client.close();
    health.close();
  }
}

async function follow(client: Client<typeof FeatureHealthDefinition>, project: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(PROGRESS_MS, undefined, { signal }).catch(() => undefined); // ended, not failed
    if (signal.aborted) break;
    const { rebuilds } = await client.listRebuilds({ project });
    const running = rebuilds.find(({ state }) => state === 'running');
    if (running) process.stderr.write(`\r${running.view}: ${running.phase}, ${running.entities} of ${running.entitiesTotal} entities `);
  }
  process.stderr.write('\r');
}

function line({ view, state, phase, entities, entitiesTotal, seconds, startedAt }: OnlineRebuild): (string | number)[] {
  const began = startedAt?.toISOString() ?? '';
  return [view, state === 'running' ? `running (${phase})` : state, entities, entitiesTotal, perSecond(entities, seconds), began];
}

function perSecond(entities: number, seconds: number): number {
  return seconds > 0 ? Math.round(entities / seconds) : 0;
}
