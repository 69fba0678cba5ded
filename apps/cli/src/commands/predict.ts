import { HeadraceClient } from '@headrace/client/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';

export function predictCommand(): Command {
  return new Command('predict')
    .description('predict by entity keys, with features from the online store')
    .argument('<model>')
    .argument('<entity...>', 'entity keys')
    .option('--project <name>', 'project', 'default')
    .action(async (model: string, entities: string[], { project }: { project: string }) => {
      const config = loadConfig();
      const { tls, ...options } = clientOptions(config);
      const client = new HeadraceClient({ address: runningSite(config).endpoints.serving.grpc, project, ...options, tls: tls.material });
      try {
        const answer = await client.predict({ model, entities });
        process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
      } finally {
        client.close();
      }
    });
}
