import { AppError } from '@headrace/base/errors';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A child that takes longer hangs; a real model of 100 MB opens in a few seconds. */
const TRIAL_TIMEOUT_MS = 30_000;
const STDERR_MAX = 2_000;

/**
 * Opens the file in a child process, in an empty folder and without our environment. Resolves when the child survived.
 * @throws AppError MODEL_LOAD_FAILED with the signal, the time-out, or what ONNX Runtime said.
 */
export async function trialLoad(artifactPath: string, name: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-trial-'));
  try {
    const fault = await runChild(artifactPath, folder);
    if (fault !== undefined) throw new AppError('MODEL_LOAD_FAILED', `${name} did not survive its first load in a child process: ${fault}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function runChild(artifactPath: string, folder: string): Promise<string | undefined> {
  // Compiled services run the JavaScript beside us, tests the source; Node strips its types.
  const script = new URL(import.meta.url.endsWith('.ts') ? './trial-child.ts' : './trial-child.js', import.meta.url);
  const child = spawn(process.execPath, ['--no-warnings', fileURLToPath(script), artifactPath], {
    cwd: folder,
    env: {},
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return new Promise((resolve) => {
    let said = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, TRIAL_TIMEOUT_MS);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < STDERR_MAX) said += text;
    });
    const done = (fault: string | undefined): void => {
      clearTimeout(timer);
      resolve(fault);
    };
    child.once('error', (error) => done(error.message));
    child.once('close', (code, signal) => {
      if (code === 0) done(undefined);
      else if (timedOut) done(`it did not end within ${TRIAL_TIMEOUT_MS} ms`);
      else done(signal ? `the process died of ${signal}` : said.slice(0, STDERR_MAX).trim() || `exit code ${code}`);
    });
  });
}
