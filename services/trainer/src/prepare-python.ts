import { runTool } from '@headrace/platform/service';
import { parseArgs } from 'node:util';
import { installerEnvironment, loadConfig, pythonHomeOf } from './config.js';
import { ensurePython } from './io/python-runtime.js';

/**
 * Makes the Python environment of the training runtime ahead of the first run: `npm start` and `npm test` call it early, with
 * progress on stderr and the interpreter's path as one JSON line on stdout. Does nothing when the environment is ready.
 */
runTool(async () => {
  const { values } = parseArgs({ options: { home: { type: 'string' }, lock: { type: 'string' }, modules: { type: 'string' } } });
  const { python } = await ensurePython({
    home: values.home ?? pythonHomeOf(loadConfig()),
    ...(values.lock === undefined ? {} : { lockFile: values.lock }),
    ...(values.modules === undefined ? {} : { modules: values.modules.split(',') }),
    environment: installerEnvironment(),
    report: (text) => process.stderr.write(`${text}\n`),
  });
  process.stdout.write(`${JSON.stringify({ python })}\n`);
});
