import { existsSync, readFileSync } from 'node:fs';
import { sleep } from '@headrace/base/clock';
import { AppError, messageOf } from '@headrace/base/errors';
import { lastLines } from './command.js';
import { isRunning, type PidRecord } from './processes.js';

const POLL_MS = 25;

/** Polls the probe until it answers. Fails at once when the process ends, and after `boundMs` in any case, with the end of the log. */
export async function waitUntilReady(record: PidRecord, probe: () => Promise<void>, boundMs: number, logFile: string): Promise<void> {
  const until = Date.now() + boundMs;
  let reason = 'not asked yet';
  while (Date.now() < until) {
    if (!isRunning(record)) throw new ServerEnded(record, logFile);
    try {
      return await probe();
    } catch (thrown) {
      reason = messageOf(thrown);
    }
    await sleep(POLL_MS);
  }
  throw new AppError(
    'DEPENDENCY_UNAVAILABLE',
    `${record.engine} is not ready after ${boundMs} ms (${reason}). Last lines of ${logFile}:\n${tailOf(logFile)}`,
  );
}

/** The server ended by itself before it was ready. `portTaken` says that another try with another port makes sense. */
export class ServerEnded extends AppError {
  readonly portTaken: boolean;

  constructor(record: PidRecord, logFile: string) {
    const tail = tailOf(logFile);
    super('DEPENDENCY_UNAVAILABLE', `${record.engine} ended while it was starting. Last lines of ${logFile}:\n${tail}`);
    this.portTaken = /address already in use|BindException|could not bind/i.test(tail);
  }
}

function tailOf(file: string): string {
  return existsSync(file) ? lastLines(readFileSync(file, 'utf8'), 20) : '(no log)';
}
