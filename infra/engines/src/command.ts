import { spawn } from 'node:child_process';
import { messageOf } from '@headrace/base/errors';
import { childEnvironment } from './config.js';

export interface CommandResult {
  readonly ok: boolean;
  readonly exitCode: number | null;
  readonly stdout: string;
  /** What to show when it failed: the last lines of both streams. */
  readonly tail: string;
}

export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Run as this user; only root can. */
  readonly as?: { readonly uid: number; readonly gid: number };
  /** Shows as the program's own name (argv[0]). */
  readonly argv0?: string;
}

const OUTPUT_LIMIT_CHARS = 200_000;
const TAIL_LINES = 12;

/** Runs a program to its end; no shell. Never throws: a program that cannot start is a result with `ok: false`. */
export function runCommand(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: childEnvironment(options.env),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.as === undefined ? {} : { uid: options.as.uid, gid: options.as.gid }),
      ...(options.argv0 === undefined ? {} : { argv0: options.argv0 }),
    });
    let stdout = '';
    let all = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout = (stdout + text).slice(-OUTPUT_LIMIT_CHARS);
      all = (all + text).slice(-OUTPUT_LIMIT_CHARS);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      all = (all + text).slice(-OUTPUT_LIMIT_CHARS);
    });
    const timeoutMs = options.timeoutMs ?? 60_000;
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.once('error', (thrown) => {
      clearTimeout(timer);
      resolve({ ok: false, exitCode: null, stdout, tail: messageOf(thrown) });
    });
    child.once('close', (exitCode) => {
      clearTimeout(timer);
      const lines = timedOut ? `${all}\n(ended after ${timeoutMs} ms)` : all;
      resolve({ ok: exitCode === 0 && !timedOut, exitCode, stdout, tail: lastLines(lines, TAIL_LINES) });
    });
  });
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}
