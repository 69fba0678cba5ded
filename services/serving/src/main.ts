import { runMain } from '@headrace/platform/service';
import { LOW_LATENCY_NODE_OPTIONS } from '@headrace/platform/processes/node-options';
import { supervise } from '@headrace/platform/processes/supervise';
import { environmentOf, loadConfig } from './config.js';
import { collectOften } from './io/collect-often.js';
import { start } from './start.js';

/** One process, or a supervisor of several that run this same file. */
runMain(() => {
  const config = loadConfig();
  if (config.processes === 1 || config.slot >= 0) {
    collectOften();
    return start();
  }
  return supervise('serving', config, {
    entry: import.meta.filename,
    count: config.processes,
    nodeOptions: LOW_LATENCY_NODE_OPTIONS,
    envOf: (slot, generation, doors) => environmentOf(config, slot, generation, doors),
  });
});
