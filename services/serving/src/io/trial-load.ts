import { AppError } from '@headrace/base/errors';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** A child that takes longer hangs; a real model of 100 MB opens in a few seconds. */
const TRIAL_TIMEOUT_MS = 30_000;
const STDERR_MAX = 2_000;

const trialRecord = z.object({ rowMs: z.number().min(0), residentBytes: z.number().min(0) });
/** What a first load took: the fastest of three runs of one row, and the resident memory that opening and running added to a fresh process. */
export type TrialRecord = z.output<typeof trialRecord>;

export function parseTrialRecord(text: string): TrialRecord | undefined {
  try {
    return trialRecord.parse(JSON.parse(text));
  } catch {
    // Cut, or of an older kind: the trial is made again.
    return undefined;
  }
}

/**
 * Opens the file in a child process, in an empty folder and without our environment. Resolves when the child survived.
 * @throws AppError MODEL_LOAD_FAILED with the signal, the time-out, or what ONNX Runtime said.
 */
export async function trialLoad(artifactPath: string, name: string): Promise<TrialRecord> {
  const folder = await mkdtemp(join(tmpdir(), 'headrace-trial-'));
  try {
    const { fault, said } = await runChild(artifactPath, folder);
    if (fault !== undefined) throw new AppError('MODEL_LOAD_FAILED', `${name} did not survive its first load in a child process: ${fault}`);
    const record = parseTrialRecord(said);
    if (!record) throw new AppError('MODEL_LOAD_FAILED', `the first load of ${name} in a child process said nothing that is understood`);
    return record;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function runChild(artifactPath: string, folder: string): Promise<{ fault: string | undefined; said: string }> {
  // Compiled services run the JavaScript beside us, tests the source; Node strips its types.
  const script = new URL(import.meta.url.endsWith('.ts') ? './trial-child.ts' : './trial-child.js', import.meta.url);
  const child = spawn(process.execPath, ['--no-warnings', fileURLToPath(script), artifactPath], {
    cwd: folder,
    env: {},
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return new Promise((resolve) => {
    let said = '';
    let complaint = '';
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, TRIAL_TIMEOUT_MS);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (complaint.length < STDERR_MAX) complaint += text;
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (said.length < STDERR_MAX) said += text;
    });
    const done = (fault: string | undefined): void => {
      clearTimeout(timer);
      resolve({ fault, said });
    };
    child.once('error', (error) => done(error.message));
    child.once('close', (code, signal) => {
      if (code === 0) done(undefined);
      else if (timedOut) done(`it did not end within ${TRIAL_TIMEOUT_MS} ms`);
      else done(signal ? `the process died of ${signal}` : complaint.slice(0, STDERR_MAX).trim() || `exit code ${code}`);
    });
  });
}
