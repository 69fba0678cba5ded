import { existsSync, readFileSync } from 'node:fs';
import { sleep } from '@headrace/base/clock';
import { AppError, messageOf } from '@headrace/base/errors';
import { lastLines } from './command.js';
import { isRunning, type PidRecord } from './processes.js';

const POLL_MS = 25;
const TAIL_LINES = 12;

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
    `${record.engine} is not ready after ${boundMs} ms (${reason}). ${quote(logFile, ownLog(record, logFile))}`,
  );
}

/** The server ended by itself before it was ready. */
export class ServerEnded extends AppError {
  /** Another try with another port makes sense. */
  readonly portTaken: boolean;
  /** What it wrote since it was started. */
  readonly log: string;

  constructor(record: PidRecord, logFile: string) {
    const log = ownLog(record, logFile);
    super('DEPENDENCY_UNAVAILABLE', `${record.engine} ended while it was starting. ${quote(logFile, log)}`);
    this.log = log;
    this.portTaken = /address already in use|could not bind/i.test(log);
  }
}

/** Only what this process wrote: an earlier one may have ended for another reason. */
function ownLog(record: PidRecord, file: string): string {
  return existsSync(file) ? readFileSync(file).subarray(record.logFrom).toString('utf8') : '';
}

/** The first complaint is most often the cause (a Java one goes on below), the last lines the end of the story. */
function quote(file: string, log: string): string {
  const lines = log.split('\n');
  const at = lines.findIndex((line) => /ERROR|FATAL|Exception|error:/.test(line));
  const complaint = at < 0 ? '' : `First complaint:\n${lines.slice(at, at + 3).join('\n')}\n`;
  return `${complaint}Last lines of ${file}:\n${lastLines(log, TAIL_LINES)}`;
}
