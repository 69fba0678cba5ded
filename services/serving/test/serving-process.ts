import type { Fetch } from '@headrace/platform/http/fetch';
import { eventually } from '@headrace/testkit/eventually';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configKeys, type Config } from '../src/config.js';

/** The built service (`nx run serving:build`) in a process of its own, as an operator starts it. */
export class ServingProcess {
  private constructor(
    readonly child: ChildProcess,
    readonly grpcAddress: string,
    readonly httpUrl: string,
    readonly log: () => string,
    readonly request: Fetch,
  ) {}

  /** @param request for its HTTP door, where that speaks TLS */
  static async start(config: Partial<Config>, request: Fetch = fetch): Promise<ServingProcess> {
    const env = Object.fromEntries(
      Object.entries(config).map(([key, value]) => [
        configKeys[key as keyof Config].env,
        Array.isArray(value) ? value.join(',') : String(value),
      ]),
    );
    const child = spawn(process.execPath, [fileURLToPath(new URL('../dist/main.js', import.meta.url))], {
      env: { ...env, PATH: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    let log = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
    try {
      await eventually('the process is ready or has ended', () => said.includes('"ready"') || child.exitCode !== null, {
        withinMs: 60_000,
      });
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${log}`);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
    const { grpc, http } = JSON.parse(said.split('\n')[0]!) as { grpc: string; http: string };
    return new ServingProcess(child, grpc, http, () => log, request);
  }

  /** Values of one metric by the label `process`; each scrape sees all processes, whichever of them answers. */
  async byProcess(metric: string): Promise<Map<number, number>> {
    const text = await this.metrics();
    const values = new Map<number, number>();
    for (const line of text.split('\n')) {
      const slot = /process="(\d+)"/.exec(line)?.[1];
      if (!line.startsWith(`${metric}{`) || slot === undefined) continue;
      values.set(Number(slot), (values.get(Number(slot)) ?? 0) + Number(line.slice(line.lastIndexOf(' '))));
    }
    return values;
  }

  async metrics(): Promise<string> {
    // A connection of its own: one that is kept alive would be closed by the process that drains.
    const response = await this.request(`${this.httpUrl}/metrics`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(10_000),
    });
    return response.text();
  }

  /** Its processes, when it is a supervisor. */
  childPids(): number[] {
    return [...readFileSync(`/proc/${this.child.pid}/task/${this.child.pid}/children`, 'utf8').matchAll(/\d+/g)].map(([pid]) =>
      Number(pid),
    );
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Resolves with the exit code. */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const exit = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exit;
    return this.child.exitCode;
  }
}
