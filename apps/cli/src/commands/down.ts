import { cleanEngines } from '@headrace/engines/stop-engines';
import { Command } from 'commander';
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { stopCluster } from '../cluster/start-cluster.js';
import { loadConfig } from '../config.js';

export function downCommand(): Command {
  return new Command('down').description('stop what an earlier start left running, by process id').action(async () => {
    const stopped = await stopCluster(resolve(loadConfig().stateDir));
    process.stderr.write(stopped.length === 0 ? 'nothing was running\n' : `stopped ${stopped.join(', ')}\n`);
  });
}

export function cleanCommand(): Command {
  return new Command('clean')
    .description('stop everything and remove the state folder: data, logs, downloads, Python environment')
    .action(async () => {
      const stateDir = resolve(loadConfig().stateDir);
      await stopCluster(stateDir);
      await cleanEngines(stateDir);
      rmSync(stateDir, { recursive: true, force: true });
      process.stderr.write(`removed ${stateDir}\n`);
    });
}
