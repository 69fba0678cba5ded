import { newId } from '@headrace/base/ids';
import { TrainerDefinition } from '@headrace/contracts/training/v1/training';
import { createClient } from '@headrace/platform/grpc/client';
import { Command } from 'commander';
import { clientOptions, runningSite } from '../cluster/site.js';
import { loadConfig } from '../config.js';

export function retrainCommand(): Command {
  return new Command('retrain')
    .description('ask for a training run by hand')
    .argument('<model>')
    .option('--project <name>', 'project', 'default')
    .option('--mitigate <attribute>', 'reweigh by this protected attribute')
    .option('--request-id <id>', 'the same id gives the same run')
    .action(async (model: string, options: { project: string; mitigate?: string; requestId?: string }) => {
      const config = loadConfig();
      const client = createClient(TrainerDefinition, runningSite(config).endpoints.trainer.grpc, clientOptions(config));
      try {
        const mitigation = options.mitigate ? { mitigation: { method: 'reweighing', attribute: options.mitigate } } : {};
        const run = await client.requestRun({
          project: options.project,
          model,
          reason: 'manual',
          requestId: options.requestId ?? newId(),
          ...mitigation,
        });
        process.stdout.write(`${run.runId}\n`);
      } finally {
        client.close();
      }
    });
}
