import { AppError } from '@headrace/base/errors';
import { ServingAdminDefinition, type Route } from '@headrace/contracts/serving/v1/serving';
import { createClient, type Client } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';

interface Common {
  readonly project: string;
  readonly json?: boolean;
}

export interface RouteOptions {
  readonly champion?: boolean;
  readonly canary?: string;
  readonly percent?: string;
  readonly split?: readonly string[];
  readonly shadow?: string;
  readonly shadowPercent?: string;
  readonly salt?: string;
}

/** Who answers requests for a model that name no version. */
export function routeCommand(): Command {
  const command = new Command('route').description('who answers requests for a model: champion, canary or split, and a shadow');
  command
    .command('get')
    .description('the routing as it is')
    .argument('<model>')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action((model: string, { project, json }: Common) => ask(json, (client) => client.getRoute({ project, model })));
  command
    .command('set')
    .description('replaces the routing at once and whole: what is not named is no more')
    .argument('<model>')
    .option('--champion', 'the champion answers all')
    .option('--canary <version>', 'this version answers a share of the keys')
    .option('--percent <percent>', 'the share of the canary, 0 to 100')
    .option('--split <arm...>', 'arms as name=version:weight')
    .option('--salt <text>', 'another one shuffles the keys anew')
    .option('--shadow <version>', 'answers are only compared with those of this version')
    .option('--shadow-percent <percent>', 'the share of the requests that the shadow gets, 0 to 100; default 100')
    .option('--reason <text>', 'for the event', 'headrace route set')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action((model: string, { project, json, reason, ...options }: Common & RouteOptions & { readonly reason: string }) => {
      const route = { project, model, ...routeOf(options), champion: 0, loaded: [] };
      return ask(json, (client) => client.setRoute({ route, reason }));
    });
  command
    .command('load')
    .description('loads a blessed version beside the champion, so that a route can name it; shows the routing then')
    .argument('<model>')
    .argument('<version>')
    .option('--project <name>', 'project', 'default')
    .option('--json', 'for programs')
    .action((model: string, version: string, { project, json }: Common) =>
      ask(json, async (client) => {
        await client.loadVersion({ project, model, version: versionOf(version) });
        return client.getRoute({ project, model });
      }),
    );
  return command;
}

/** @throws AppError REQUEST_INVALID when the options say nothing, or two things */
export function routeOf(options: RouteOptions): Pick<Route, 'traffic' | 'shadow'> {
  const { champion, canary, percent, split, salt = '', shadow, shadowPercent } = options;
  const chosen = [champion, canary, split].filter((one) => one !== undefined);
  if (chosen.length !== 1) throw invalid('say who answers: one of --champion, --canary with --percent, --split');
  if ((canary === undefined) !== (percent === undefined)) throw invalid('--canary and --percent go together');
  if (shadow === undefined && shadowPercent !== undefined) throw invalid('--shadow-percent needs --shadow');
  const shadowed = shadow === undefined ? undefined : { version: versionOf(shadow), percent: percentOf(shadowPercent ?? '100') };
  if (canary !== undefined)
    return { traffic: { $case: 'canary', value: { version: versionOf(canary), percent: percentOf(percent!), salt } }, shadow: shadowed };
  if (split) return { traffic: { $case: 'split', value: { arms: split.map(armOf), salt } }, shadow: shadowed };
  if (salt !== '') throw invalid('--salt is for --canary and --split');
  return { traffic: undefined, shadow: shadowed };
}

export function printRoute({ model, traffic, shadow, champion, loaded }: Route): string {
  const lines = [`${model}: ${trafficText(traffic, champion)}`];
  if (shadow) lines.push(`  shadow: version ${shadow.version}, ${shadow.percent} % of the requests`);
  lines.push(`  loaded: ${loaded.length > 0 ? loaded.join(', ') : 'none'}`);
  return lines.join('\n');
}

function trafficText(traffic: Route['traffic'], champion: number): string {
  const rest = champion === 0 ? 'no champion' : `champion ${champion}`;
  if (traffic?.$case === 'canary')
    return `canary ${traffic.value.version} for ${traffic.value.percent} % of the keys, ${rest} for the others`;
  if (traffic?.$case !== 'split') return `${rest} for all`;
  const total = traffic.value.arms.reduce((sum, { weight }) => sum + weight, 0);
  return `split ${traffic.value.arms.map(({ name, version, weight }) => `${name} = version ${version} (${+((100 * weight) / total).toFixed(2)} %)`).join(', ')}`;
}

async function ask(json: boolean | undefined, work: (client: Client<typeof ServingAdminDefinition>) => Promise<Route>): Promise<void> {
  const config = loadConfig();
  const client = createClient(ServingAdminDefinition, runningSite(config).endpoints.serving.grpc, clientOptions(config));
  try {
    const route = await work(client);
    process.stdout.write(`${json ? JSON.stringify(route) : printRoute(route)}\n`);
  } finally {
    client.close();
  }
}

function armOf(text: string): { name: string; version: number; weight: number } {
  const [, name, version, weight] = /^([^=]+)=(\d+):([\d.]+)$/.exec(text) ?? [];
  if (name === undefined) throw invalid(`--split ${text}: write name=version:weight, such as a=3:1`);
  return { name, version: versionOf(version!), weight: numberOf(weight!, '--split') };
}

function versionOf(text: string): number {
  const version = Number(text);
  if (!Number.isSafeInteger(version) || version < 1) throw invalid(`${JSON.stringify(text)} is no version; versions count from 1`);
  return version;
}

function percentOf(text: string): number {
  const percent = numberOf(text, 'a percentage');
  if (percent > 100) throw invalid(`${text} % is more than all`);
  return percent;
}

function numberOf(text: string, what: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || value < 0) throw invalid(`${what}: ${JSON.stringify(text)} is no number from 0 on`);
  return value;
}

function invalid(message: string): AppError {
  return new AppError('REQUEST_INVALID', message);
}
