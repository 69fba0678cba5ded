import { sleep } from '@headrace/base/clock';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 2_000;
const CHECK_EVERY_MS = 50;

/** Ends a process group that we lead: asks first, then insists. Resolves when none of it is left, or the kernel was told to end it. */
export async function killGroup(leaderPid: number, graceMs = GRACE_MS): Promise<void> {
  if (!signalGroup(leaderPid, 'SIGTERM')) return;
  for (let waited = 0; waited < graceMs; waited += CHECK_EVERY_MS) {
    await sleep(CHECK_EVERY_MS);
    if (!signalGroup(leaderPid, 0)) return;
  }
  signalGroup(leaderPid, 'SIGKILL');
}

/**
 * Ends the training process of an attempt whose worker died, if it still runs. Process ids are dealt out again, so it is recognised
 * by its command line, which holds the run's id. @returns whether there was one
 */
export async function killSurvivor(pid: number, runId: string): Promise<boolean> {
  const command = await commandOf(pid);
  if (!command.includes(runId)) return false;
  await killGroup(pid);
  return true;
}

/** Slim images have no `ps`, other systems have no /proc. '' = no such process. */
async function commandOf(pid: number): Promise<string> {
  if (process.platform === 'linux') return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return promisify(execFile)('ps', ['-o', 'command=', '-p', String(pid)]).then(
    ({ stdout }) => stdout,
    () => '',
  );
}

/** @returns false when there is nobody left in the group. */
function signalGroup(leaderPid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-leaderPid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}
