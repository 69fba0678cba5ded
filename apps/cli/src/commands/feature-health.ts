import { FeatureHealthDefinition, type HealthFinding, type HealthResponse } from '@headrace/contracts/features/v1/health';
import { createClient } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';
import { formatTable } from '../terminal/table.js';

interface Options {
  readonly project: string;
  readonly now?: boolean;
  readonly json?: boolean;
}

/** Whether what is served online is what the offline store says, and whether it is fresh. Ends with 1 when something is wrong. */
export function featureHealthCommand(): Command {
  return new Command('feature-health')
    .description('online against offline by feature, freshness, and the alerts of views')
    .argument('[view]', 'one view; all when left out', '')
    .option('--now', 'inspect a sample now, instead of telling what was found so far')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action(show);
}

async function show(view: string, { project, now, json }: Options): Promise<void> {
  const config = loadConfig();
  const client = createClient(FeatureHealthDefinition, runningSite(config).endpoints['feature-store'].grpc, clientOptions(config));
  try {
    const health = await (now ? client.inspect({ project, view }) : client.listHealth({ project, view }));
    const { alerts } = await client.listFeatureAlerts({ project, view });
    process.stdout.write(
      json
        ? `${JSON.stringify({ ...health, alerts })}\n`
        : print(
            health,
            alerts.map(({ state, sentence }) => `${state.replace('ALERT_STATE_', '').toLowerCase()}: ${sentence}`),
          ),
    );
    if (health.findings.length > 0) process.exitCode = 1;
  } finally {
    client.close();
  }
}

function print({ views, findings }: HealthResponse, alerts: readonly string[]): string {
  const table = formatTable(
    ['view', 'checked', 'mismatched', 'missing', 'extra', 'fresh'],
    views.map(({ view, checked, features, freshness }) => [
      view,
      checked,
      Math.max(0, ...features.map((f) => f.mismatched)),
      Math.max(0, ...features.map((f) => f.missing)),
      Math.max(0, ...features.map((f) => f.extra)),
      freshness ? `${freshness.young} of ${freshness.sampled}` : 'no objective',
    ]),
  );
  return `${[table.trimEnd(), ...findings.map(sentence), ...alerts].join('\n')}\n`;
}

function sentence({ view, feature, entity, kind, served, expected, eventTime }: HealthFinding): string {
  const who = Object.entries(entity)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
  return `${kind}: ${view}:${feature} of ${who}, row of ${eventTime?.toISOString() ?? 'no time'}: served ${served}, expected ${expected}`;
}
