import { FeatureStoreDefinition, type AppliedDefinition, type Definition } from '@headrace/contracts/features/v1/features';
import { RegistryDefinition } from '@headrace/contracts/registry/v1/registry';
import { parseDefinitionsFiles } from '@headrace/definitions/yaml-file';
import { createClient } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';

export function applyCommand(): Command {
  return new Command('apply')
    .description('check definition files and store them; unchanged ones stay as they are')
    .argument('<file...>', 'YAML files')
    .option('--dry-run', 'say what would change, and change nothing')
    .option('--project <name>', 'project', 'default')
    .action(async (files: string[], { dryRun, project }: { dryRun?: boolean; project: string }) => {
      const config = loadConfig();
      const definitions = parseDefinitionsFiles(files.map((file) => ({ file, text: readFileSync(file, 'utf8') }))).map((d) => d.definition);
      const wire = (ofModel: boolean): Definition[] =>
        definitions
          .filter((d) => (d.kind === 'Model') === ofModel)
          .map(({ kind, name, spec }) => ({ kind, name, spec: structuredClone(spec) as Record<string, unknown> }));
      const { endpoints } = runningSite(config);
      const features = createClient(FeatureStoreDefinition, endpoints['feature-store'].grpc, clientOptions(config));
      const registry = createClient(RegistryDefinition, endpoints.registry.grpc, clientOptions(config));
      try {
        const applied: AppliedDefinition[] = [];
        if (wire(false).length > 0)
          applied.push(...(await features.apply({ project, definitions: wire(false), dryRun: dryRun === true })).applied);
        if (wire(true).length > 0)
          applied.push(...(await registry.applyModel({ project, definitions: wire(true), dryRun: dryRun === true })).applied);
        for (const { kind, name, version, change } of applied)
          process.stdout.write(`${kind} ${name} version ${version} ${change.replace('CHANGE_', '').toLowerCase()}\n`);
      } finally {
        features.close();
        registry.close();
      }
    });
}
