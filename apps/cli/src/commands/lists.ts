import { FeatureStoreDefinition } from '@headrace/contracts/features/v1/features';
import { MonitorDefinition } from '@headrace/contracts/monitoring/v1/monitoring';
import { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { TrainerDefinition } from '@headrace/contracts/training/v1/training';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import type { ServiceDefinition } from '@headrace/platform/grpc/definition';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import type { Endpoints } from '../cluster/services.js';
import { loadConfig } from '../config.js';
import { formatTable } from '../terminal/table.js';

/** `views`, `versions`, `runs`, `alerts`: one table each, or `--json` for programs. */
export function listCommands(): Command[] {
  return [
    list('views', 'feature views and how many rows each holds', 'feature-store', FeatureStoreDefinition, async (client, { project }) => {
      const { views } = await client.listViews({ project });
      return {
        items: views,
        table: formatTable(
          ['view', 'version', 'rows', 'definition'],
          views.map((v) => [v.name, v.version, v.offlineRows, v.contentHash.slice(0, 12)]),
        ),
      };
    }),
    list('versions', 'versions of a model, with their state', 'registry', RegistryDefinition, async (client, { project, model }) => {
      const { versions } = await client.listVersions({ project, model });
      return {
        items: versions,
        table: formatTable(
          ['version', 'state', 'aliases', 'run'],
          versions.map((v) => [v.version, plain(v.state, 'VERSION_STATE_'), v.aliases.join(','), v.runId]),
        ),
      };
    }),
    list('runs', 'training runs', 'trainer', TrainerDefinition, async (client, { project, model }) => {
      const { runs } = await client.listRuns({ project, model });
      return {
        items: runs,
        table: formatTable(
          ['run', 'model', 'state', 'reason', 'step', 'version'],
          runs.map((r) => [r.runId, r.model, plain(r.state, 'RUN_STATE_'), r.reason, r.step, r.version]),
        ),
      };
    }),
    list('alerts', 'alerts of the monitor', 'monitor', MonitorDefinition, async (client, { project, model }) => {
      const { alerts } = await client.listAlerts({ project, model });
      return {
        items: alerts,
        table: formatTable(
          ['alert', 'model', 'version', 'state', 'what'],
          alerts.map((a) => [a.alertId, a.model, a.version, plain(a.state, 'ALERT_STATE_'), a.sentence]),
        ),
      };
    }),
  ];
}

interface Listing {
  readonly items: unknown;
  readonly table: string;
}

function list<D extends ServiceDefinition>(
  name: string,
  description: string,
  service: keyof Endpoints,
  definition: D,
  ask: (client: Client<D>, options: { readonly project: string; readonly model: string }) => Promise<Listing>,
): Command {
  return new Command(name)
    .description(description)
    .argument('[model]', 'only of this model', '')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action(async (model: string, { project, json }: { project: string; json?: boolean }) => {
      const config = loadConfig();
      const client = createClient(definition, runningSite(config).endpoints[service].grpc, clientOptions(config));
      try {
        const { items, table } = await ask(client, { project, model });
        process.stdout.write(`${json ? JSON.stringify(items, null, 2) : table}\n`);
      } finally {
        client.close();
      }
    });
}

function plain(state: string, prefix: string): string {
  return state.replace(prefix, '').toLowerCase();
}
