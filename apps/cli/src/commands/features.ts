import { AppError } from '@headrace/base/errors';
import { ExplainValueResponse, FeatureCatalogueDefinition, type ExplainValueRequest } from '@headrace/contracts/features/v1/catalogue';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';
import { printExplanation, printFound, printLineage } from '../terminal/catalogue-text.js';

interface Common {
  readonly project: string;
  readonly json?: boolean;
}

interface SearchOptions extends Common {
  readonly tag: string;
  readonly owner: string;
  readonly type: string;
  readonly limit: string;
}

interface ExplainOptions extends Common {
  readonly at?: string;
  readonly asOf?: string;
  readonly request?: readonly string[];
}

/** The catalogue of the feature store. */
export function featuresCommand(): Command {
  const command = new Command('features').description('what features there are, and where their values come from');
  command
    .command('search')
    .description('features and feature services by word, tag, owner and type; all when nothing is given')
    .argument('[words...]', 'each must occur in the name, description, owner or tags')
    .option('--tag <tag>', 'only with this tag', '')
    .option('--owner <owner>', 'only of this owner', '')
    .option('--type <type>', 'only of this type, such as float64', '')
    .option('--limit <count>', 'most features', '100')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action((words: string[], { json, limit, ...query }: SearchOptions) =>
      ask(async (client) => {
        const found = await client.searchFeatures({ ...query, text: words.join(' '), limit: Number(limit) });
        return json ? JSON.stringify(found) : printFound(found);
      }),
    );
  command
    .command('lineage')
    .description('from the source of a value to the model versions that were trained on it')
    .argument('[of]', '`view:feature`, a view, a feature service or a model (`Model fraud`); the whole project when left out', '')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action((of: string, { project, json }: Common) =>
      ask(async (client) => {
        const lineage = await client.getLineage({ project, of });
        return json ? JSON.stringify(lineage) : printLineage(lineage);
      }),
    );
  command
    .command('explain')
    .description('which row gives an entity its value, and why the others do not')
    .argument('<feature>', '`view:feature`')
    .argument('<key=value...>', 'the join keys of the entity')
    .option('--at <moment>', 'as a training set gives it to a label of this time; now, as it is served, when left out')
    .option('--as-of <moment>', 'only rows that had arrived by then')
    .option('--request <name=value...>', 'values for on-demand views, as JSON or text')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action((feature: string, keys: string[], { project, json, at, asOf, request = [] }: ExplainOptions) =>
      ask(async (client) => {
        const explained = await client.explainValue({
          ...{ project, feature, entity: Object.fromEntries(keys.map(pair)), at: at && momentOf(at), asOf: asOf && momentOf(asOf) },
          request: Object.fromEntries(request.map(pair).map(([name, value]) => [name, jsonOrText(value)])),
        } as ExplainValueRequest);
        return json ? JSON.stringify(ExplainValueResponse.toJSON(explained)) : printExplanation(explained);
      }),
    );
  return command;
}

async function ask(work: (client: Client<typeof FeatureCatalogueDefinition>) => Promise<string>): Promise<void> {
  const config = loadConfig();
  const client = createClient(FeatureCatalogueDefinition, runningSite(config).endpoints['feature-store'].grpc, clientOptions(config));
  try {
    process.stdout.write(`${await work(client)}\n`);
  } finally {
    client.close();
  }
}

/** `name=value`; the value may hold `=`. */
function pair(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new AppError('REQUEST_INVALID', `${JSON.stringify(text)} is no name=value`);
  return [text.slice(0, at), text.slice(at + 1)];
}

function momentOf(text: string): Date {
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime()))
    throw new AppError('REQUEST_INVALID', `${JSON.stringify(text)} is no moment; write 2024-02-09T10:00:00Z`);
  return moment;
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text; // a text needs no quotes
  }
}
