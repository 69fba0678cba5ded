import { FeatureStoreDefinition, type AppliedDefinition, type Definition } from '@headrace/contracts/features/v1/features';
import { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { AppError } from '@headrace/base/errors';
import { parseDefinitionsFiles, type PlacedDefinition } from '@headrace/definitions/yaml-file';
import { createClient } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';

interface Options {
  readonly project: string;
  readonly dryRun?: boolean;
  readonly allowBreaking?: boolean;
}

export function applyCommand(): Command {
  return withFiles(new Command('apply').description('check definition files and store them; unchanged ones stay as they are'))
    .option('--dry-run', 'say what would change, and change nothing')
    .action(async (files: string[], options: Options) => {
      for (const { kind, name, version, change } of await send(files, options))
        process.stdout.write(`${kind} ${name} version ${version} ${change.replace('CHANGE_', '').toLowerCase()}\n`);
    });
}

export function planCommand(): Command {
  return withFiles(new Command('plan').description('say what `apply` would change, field by field, and whom it concerns')).action(
    async (files: string[], options: Options) => {
      for (const line of planLines(await send(files, { ...options, dryRun: true }))) process.stdout.write(`${line}\n`);
    },
  );
}

const SIGNS: Readonly<Record<string, string>> = { CHANGE_CREATED: '+', CHANGE_UPDATED: '~', CHANGE_UNCHANGED: '=' };

export function planLines(applied: readonly AppliedDefinition[]): string[] {
  return applied.flatMap(({ kind, name, version, change, differences, affected }) => [
    `${SIGNS[change] ?? '?'} ${kind} ${name} version ${version}`,
    ...differences.map(({ path, before, after }) => {
      if (before === '') return `    + ${path}: ${after}`;
      return after === '' ? `    - ${path}: ${before}` : `    ~ ${path}: ${before} -> ${after}`;
    }),
    ...(affected.length > 0 ? [`    concerns ${affected.join(', ')}`] : []),
  ]);
}

function withFiles(command: Command): Command {
  return command
    .argument('<file...>', 'YAML files')
    .option('--allow-breaking', 'features may be taken away from services and models that read them')
    .option('--project <name>', 'project', 'default');
}

/** To the feature store and the registry, each what belongs to it. */
async function send(files: readonly string[], { project, dryRun = false, allowBreaking = false }: Options): Promise<AppliedDefinition[]> {
  const config = loadConfig();
  const placed = parseDefinitionsFiles(files.map((file) => ({ file, text: readFileSync(file, 'utf8') })));
  const wire = (ofModel: boolean): Definition[] =>
    placed
      .map(({ definition }) => definition)
      .filter((d) => (d.kind === 'Model') === ofModel)
      .map(({ kind, name, spec }) => ({ kind, name, spec: structuredClone(spec) as Record<string, unknown> }));
  const { endpoints } = runningSite(config);
  const features = createClient(FeatureStoreDefinition, endpoints['feature-store'].grpc, clientOptions(config));
  const registry = createClient(RegistryDefinition, endpoints.registry.grpc, clientOptions(config));
  const options = { project, dryRun, allowBreaking };
  try {
    const applied: AppliedDefinition[] = [];
    if (wire(false).length > 0) applied.push(...(await features.apply({ ...options, definitions: wire(false) })).applied);
    if (wire(true).length > 0) applied.push(...(await registry.applyModel({ ...options, definitions: wire(true) })).applied);
    return applied;
  } catch (error) {
    throw error instanceof AppError
      ? new AppError(error.code, located(error.message, placed), { details: error.details, cause: error })
      : error;
  } finally {
    features.close();
    registry.close();
  }
}

/** Each line that begins with kind and name of a definition gets the place where it stands. */
export function located(message: string, placed: readonly PlacedDefinition[]): string {
  return message
    .split('\n')
    .map((line) => {
      const found = placed.find(({ definition }) => line.startsWith(`${definition.kind} ${definition.name}: `));
      return found ? `${found.at}: ${line}` : line;
    })
    .join('\n');
}
