import { AppError } from '@headrace/base/errors';
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { inheritedEnvironment } from '../config.js';
import type { Progress } from '../terminal/progress.js';

const ENTRY = fileURLToPath(new URL('../../../../services/trainer/dist/prepare-python.js', import.meta.url));

/** The trainer's Python environment, made while the engines start. */
export async function preparePython(stateDir: string, progress: Progress): Promise<void> {
  const begin = performance.now();
  const child = spawn(process.execPath, [ENTRY], {
    env: { ...inheritedEnvironment(), HEADRACE_STATE: resolve(stateDir) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let last = '';
  createInterface({ input: child.stderr }).on('line', (line) => {
    last = line;
    progress.live(line);
  });
  const code = await new Promise<number | null>((done) => child.once('exit', done));
  if (code !== 0) throw new AppError('ENGINE_MISSING', `the Python environment of the trainer could not be made: ${last}`);
  progress.line('python: ready', performance.now() - begin);
}
