import { AppError } from '@headrace/base/errors';
import { newId } from '@headrace/base/ids';
import { ErasuresDefinition, type Erasure } from '@headrace/contracts/features/v1/erasures';
import { createClient } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';

/** It reads whole partitions where no index helps. */
const TIMEOUT_MS = 600_000;

interface Options {
  readonly project: string;
  readonly reason: string;
  readonly requestId: string;
  readonly json?: boolean;
}

/** Takes an entity out of both feature stores and of everything that was made of its values, for ever. */
export function eraseCommand(): Command {
  return new Command('erase')
    .description('take an entity out of the feature stores; it cannot be undone')
    .argument('<entity>', 'name of the entity, such as person')
    .argument('<keys...>', 'its join keys, such as person_id=42')
    .option('--reason <text>', 'kept in the record', '')
    .option('--request-id <id>', 'the same id is the same erasure', '')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action(erase);
}

async function erase(entity: string, pairs: readonly string[], { project, reason, requestId, json }: Options): Promise<void> {
  const config = loadConfig();
  const options = { ...clientOptions(config), defaultTimeoutMs: TIMEOUT_MS };
  const client = createClient(ErasuresDefinition, runningSite(config).endpoints['feature-store'].grpc, options);
  try {
    const request = { project, entity, keys: Object.fromEntries(pairs.map(split)), reason, requestId: requestId || newId() };
    const erasure = await client.eraseEntity(request);
    process.stdout.write(json ? `${JSON.stringify(erasure)}\n` : print(erasure));
  } finally {
    client.close();
  }
}

function split(pair: string): [string, string] {
  const at = pair.indexOf('=');
  if (at < 1) throw new AppError('REQUEST_INVALID', `${JSON.stringify(pair)} is no join key; write name=value`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}

function print({ id, entity, views, quarantined, findings, until, snapshots, remaining }: Erasure): string {
  return [
    `erasure ${id}: one ${entity} is erased; rows of event times up to ${until!.toISOString()} are refused from now on`,
    ...views.map(({ view, rows, qualityWindows }) => `  ${view}: ${rows} rows, ${qualityWindows} windows of statistics made anew`),
    `  ${quarantined} rows of the quarantine, ${findings} findings`,
    ...snapshots.map(
      ({ trainingSet, builtAt, views: of }) => `training set ${trainingSet} of ${builtAt!.toISOString()} was made from ${of.join(', ')}`,
    ),
    ...remaining.map((sentence) => `remains: ${sentence}`),
    '',
  ].join('\n');
}
