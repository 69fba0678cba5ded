import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const CLI = join(ROOT, 'apps/cli/dist/main.js');

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One `npm start` of its own: own state folder, free ports; downloads and the Python environment are shared with other runs. */
export class RunningHeadrace {
  readonly stateDir = mkdtempSync(join(tmpdir(), 'headrace-e2e-'));
  readonly #environment: NodeJS.ProcessEnv;
  #process: ChildProcess | undefined;
  #output = '';

  /** @param more of the environment */
  constructor(more: NodeJS.ProcessEnv = {}) {
    this.#environment = {
      ...process.env,
      HEADRACE_STATE: this.stateDir,
      HEADRACE_PORT_BASE: '0',
      HEADRACE_CACHE: join(ROOT, '.headrace/cache'),
      HEADRACE_PYTHON_HOME: join(ROOT, '.headrace/python'),
      NO_COLOR: '1',
      ...more,
    };
  }

  /** Resolves when the banner is printed; rejects with all output when it ends before. */
  start(args: readonly string[], untilText: string, timeoutMs: number): Promise<void> {
    const child = spawn(process.execPath, ['--enable-source-maps', CLI, 'start', ...args], {
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    this.#output = '';
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`not up within ${timeoutMs} ms:\n${this.#output}`)), timeoutMs);
      const read = (chunk: Buffer): void => {
        this.#output += chunk.toString();
        if (!this.#output.includes(untilText)) return;
        clearTimeout(timer);
        resolve();
      };
      child.stdout.on('data', read);
      child.stderr.on('data', read);
      child.once('exit', (code) => {
        clearTimeout(timer);
        reject(new Error(`start ended with ${code}:\n${this.#output}`));
      });
    });
  }

  get output(): string {
    return this.#output;
  }

  /** The report that the run wrote. */
  report(): unknown {
    return JSON.parse(readFileSync(join(this.stateDir, 'report.json'), 'utf8'));
  }

  /** Documented port -> the port of this run. */
  ports(): Map<number, number> {
    const { endpoints } = JSON.parse(readFileSync(join(this.stateDir, 'cluster.json'), 'utf8')) as {
      endpoints: Record<string, { http: string; grpc: string }>;
    };
    const bases: Record<string, number> = { 'feature-store': 7010, registry: 7020, trainer: 7030, serving: 7040, monitor: 7050 };
    return new Map(
      Object.entries(endpoints).flatMap(([name, doors]) => [
        [bases[name]!, Number(new URL(doors.http).port)],
        [bases[name]! + 1, Number(doors.grpc.split(':')[1])],
      ]),
    );
  }

  /** Runs one `headrace` command against this cluster. */
  headrace(args: readonly string[]): Promise<Finished> {
    return run(process.execPath, [CLI, ...args], this.#environment);
  }

  /** Ctrl-C. @returns the exit code */
  async interrupt(timeoutMs: number): Promise<number | null> {
    const child = this.#process;
    if (!child || child.exitCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    const code = await ended;
    clearTimeout(timer);
    return code;
  }

  /** Command lines of processes that still belong to this run: their arguments or environment name its state folder. */
  leftOvers(): string[] {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
    return pids.flatMap((pid) => {
      const about = ['cmdline', 'environ'].map((file) => text(`/proc/${pid}/${file}`));
      return about.some((part) => part.includes(this.stateDir)) ? [about[0]!.replaceAll('\0', ' ')] : [];
    });
  }
}

export function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('error', reject);
    child.once('exit', (code) => resolve({ code, stdout, stderr }));
  });
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
