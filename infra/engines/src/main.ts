import { parseArgs } from 'node:util';
import { AppError, messageOf } from '@headrace/base/errors';
import { defaultStateDir } from './config.js';
import type { EngineProgress } from './engine.js';
import { readRuntime } from './runtime-file.js';
import { startEngines } from './start-engines.js';
import { cleanEngines, runningEngines, stopEngines } from './stop-engines.js';

/** `node dist/main.js up|down|status|clean [--state FOLDER]`: the engines alone, by hand. They outlive `up`. */
async function main(): Promise<void> {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { state: { type: 'string' } } });
  const stateDir = values.state ?? defaultStateDir();
  const command = positionals[0] ?? 'status';
  if (command === 'up') {
    const { kafkaBrokers, postgresUrl, redisUrl } = await startEngines({ stateDir, report });
    print(JSON.stringify({ kafkaBrokers, postgresUrl, redisUrl }, null, 2));
  } else if (command === 'down') {
    await stopEngines(stateDir, report);
  } else if (command === 'clean') {
    await cleanEngines(stateDir);
  } else if (command === 'status') {
    const running = runningEngines(stateDir);
    print(JSON.stringify({ stateDir, running: running.map(({ engine, pid }) => ({ engine, pid })), ...readRuntime(stateDir) }, null, 2));
  } else {
    throw new AppError('REQUEST_INVALID', `unknown command "${command}": up, down, status or clean`);
  }
}

function report({ engine, phase, text, elapsedMs }: EngineProgress): void {
  print(`${String(elapsedMs).padStart(6)} ms  ${engine.padEnd(8)} ${phase.padEnd(10)} ${text}`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

main().catch((thrown: unknown) => {
  process.stderr.write(`${messageOf(thrown)}\n`);
  process.exitCode = 1;
});
